# For publishers and authors of scripts on macOS and Linux: ldi and codesync without a service. What
# runs as root must be root's, and Homebrew's folders are not: machines take the package.
# A tap that releases adds `url` and `sha256` of a source archive; `head` is the place of the repository.
class Ldi < Formula
  desc "Signed code library: publish it, sync it, run it"
  homepage "https://example.com/ldi"
  license "BSD-3-Clause"
  head "https://example.com/ldi.git", branch: "main"

  depends_on "pkgconf" => :build
  depends_on "rust" => :build
  depends_on "openssl@3"

  def install
    system "cargo", "install", *std_cargo_args(path: "ldi-daemon")
    system "cargo", "install", *std_cargo_args(path: "codesync")
    bin.install_symlink "ldi" => "pyexec"
    bin.install_symlink "ldi" => "autoinit"
    %w[ldi codesync].each do |name|
      generate_completions_from_executable(bin/name, "completions", shells: [:bash, :zsh, :fish])
      system bin/name, "man", "--to", man1
    end
  end

  test do
    system bin/"codesync", "init", "--library", testpath/"library", "--keys", testpath/"keys"
    assert_path_exists testpath/"keys/root.json"
    assert_match "ldi", shell_output("#{bin}/ldi --version")
  end
end
