# shellcheck shell=bash
case ${1:-} in
  *-productName) echo macOS ;;
  *-productVersion) echo 14.6 ;;
  *-buildVersion) echo 23G80 ;;
  *) printf '%s\t\t%s\n' ProductName: macOS ProductVersion: 14.6 BuildVersion: 23G80 ;;
esac
