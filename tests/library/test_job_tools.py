import os

import ldi_test

import account_tools
import job_tools


class Secret(ldi_test.Case):
    def give(self, content):
        # As the daemon gives it: a pipe, and the number of its descriptor.
        reader, writer = os.pipe()
        os.write(writer, content)
        os.close(writer)
        os.environ["LDI_SECRET_WIFI_PSK_FD"] = str(reader)

    def test_it_is_read_once(self):
        self.give(b"open sesame\n")
        self.assertEqual(job_tools.ldi_secret("wifi_psk"), "open sesame")
        with self.assertRaisesRegex(RuntimeError, "read before"):
            job_tools.ldi_secret("wifi_psk")

    def test_joining_a_domain_takes_it(self):
        self.pretend("linux")
        self.conf("directory", "domain = ad.example.com\nuser = joiner\n")
        self.stub_body("realm", 'case $1 in join) cat >"%s" ;; esac' % (self.work / "said"))
        self.stub("timedatectl")
        self.give(b"hush hush\n")
        os.environ["LDI_SECRET_AD_PASSWORD_FD"] = os.environ["LDI_SECRET_WIFI_PSK_FD"]
        account_tools.bind_to_ad(hostname="pc1")
        self.assertEqual((self.work / "said").read_text(), "hush hush\n")
        self.assertNotIn("hush", "".join(self.calls()))

    def test_only_the_last_line_end_goes(self):
        self.give(b"a\n\n")
        self.assertEqual(job_tools.ldi_secret("wifi_psk"), "a\n")

    def test_it_was_not_given(self):
        with self.assertRaisesRegex(RuntimeError, "was not given wifi_psk"):
            job_tools.ldi_secret("wifi_psk")
        os.environ["LDI_SECRET_WIFI_PSK_FD"] = "x"
        with self.assertRaisesRegex(RuntimeError, "was not given"):
            job_tools.ldi_secret("wifi_psk")

    def test_a_name(self):
        for name in ("", "a-b", "../x"):
            with self.assertRaises(ValueError):
                job_tools.ldi_secret(name)
