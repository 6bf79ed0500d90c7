import shutil

import ldi_test

import fact_tools
import shell_tools

FACTS = (
    "os distname version arch hostname serial model machine_id memory_megabytes cpu_count uptime_seconds console_user"
).split()

PROFILER = """Hardware:

    Hardware Overview:

      Model Name: MacBook Pro
      Model Identifier: Mac14,7
      Serial Number (system): C02XL0THJHD4
"""


def test_bash_says_the_same():
    program = 'for m in "$0"/modules/*.sh; do . "$m"; done; for f in $1; do ldi_fact "$f"; done'
    command = ["bash", "-c", program, str(ldi_test.tree), " ".join(FACTS)]
    lines = shell_tools.run(command, sanitize=False)["stdout"].splitlines()
    assert len(lines) == len(FACTS), lines
    for name, line in zip(FACTS, lines):
        ours = fact_tools.ldi_fact(name)
        if name == "uptime_seconds" and line.isdigit():
            assert 0 <= int(ours) - int(line) < 600, (ours, line)
        else:
            assert ours == line, (name, ours, line)


class Facts(ldi_test.Case):
    def test_set_by_the_environment(self):
        self.fact("model", "ThinkPad")
        self.assertEqual(fact_tools.ldi_fact("model"), "ThinkPad")

    def test_another_name(self):
        with self.assertRaises(ValueError):
            fact_tools.ldi_fact("colour")

    def test_macos(self):
        self.pretend("macos")
        self.stub("sw_vers", "14.5\n")
        self.stub("system_profiler", PROFILER)
        self.stub("ioreg", '    {\n      "IOPlatformUUID" = "01234567-89AB-CDEF-0123-456789ABCDEF"\n    }\n')
        self.stub_body(
            "sysctl", 'case "$*" in *memsize) echo 17179869184 ;; *) echo "{ sec = 1000, usec = 0 } x" ;; esac'
        )
        self.stub("stat", "alice\n")
        self.clock(4600)
        expected = ["macos", "macOS", "14.5", "aarch64", "test.local", "C02XL0THJHD4", "MacBook Pro"]
        expected += ["01234567-89AB-CDEF-0123-456789ABCDEF", "16384"]
        self.assertEqual([fact_tools.ldi_fact(name) for name in FACTS[:9]], expected)
        self.assertEqual(fact_tools.ldi_fact("uptime_seconds"), "3600")
        self.assertEqual(fact_tools.ldi_fact("console_user"), "alice")
        self.stub("stat", "root\n")
        self.assertEqual(fact_tools.ldi_fact("console_user"), "none")

    def test_macos_that_does_not_answer(self):
        self.pretend("macos")
        for name in ("system_profiler", "ioreg", "sysctl", "stat", "sw_vers"):
            self.stub(name, status=1)
        for name in ("version", "serial", "model", "machine_id", "memory_megabytes", "uptime_seconds", "console_user"):
            self.assertEqual(fact_tools.ldi_fact(name), "unknown", name)

    def test_console_user_of_linux(self):
        self.pretend("linux")
        for seat, session, expected in (
            ("2\n", "Name=alice\nClass=user\n", "alice"),
            ("c1\n", "Name=gdm\nClass=greeter\n", "none"),
            ("\n", "", "none"),
            ("2\n", "", "unknown"),
        ):
            self.stub_body("loginctl", "case $1 in show-seat) printf '%s' ;; *) printf '%s' ;; esac" % (seat, session))
            self.assertEqual(fact_tools.ldi_fact("console_user"), expected)
        self.stub("loginctl", status=1)
        self.assertEqual(fact_tools.ldi_fact("console_user"), "unknown")

    def test_no_commands(self):
        self.assertTrue(shutil.which("bash"))
        self.no_commands()
        for name in FACTS:
            self.assertIsInstance(fact_tools.ldi_fact(name), str)
