# shellcheck shell=bash disable=SC2016,SC2154 # literal text; the runner's words

test_values() {
  conf t '# a = comment
a = 1
  b=two words'"  "'
c = x=y
a = last
d =
e = $(touch run)
no equals
f = crlf'$'\r''
g = no line end'
  assert_equal last "$(conf_value t a)" "the last line wins"
  assert_equal "two words" "$(conf_value t b)" "blanks are trimmed"
  assert_equal x=y "$(conf_value t c)" "an equals sign in a value"
  assert_equal "" "$(conf_value t d)" "an empty value"
  assert_equal '$(touch run)' "$(conf_value t e)" "a value is text"
  assert_equal crlf "$(conf_value t f)" "Windows line ends"
  assert_equal "no line end" "$(conf_value t g)" "no line end at the end"
  assert_equal "" "$(conf_value t z)" "an unknown key"
}

test_no_file() {
  run conf_value missing a
  assert_status 0
  assert_output ""
}

test_the_shipped_file() {
  run conf_value network corp
  assert_status 0
}
