//! The launchd job of macOS, launchd.plist(5). Text only, so that it is tested everywhere.

use std::path::Path;

use super::{Content, Part, seal};

/// The job's label, and the name of its file.
pub const LABEL: &str = "net.ldi.daemon";
/// The job among those of the system.
pub const TARGET: &str = "system/net.ldi.daemon";

const FOLDER: &str = "/Library/LaunchDaemons";

/// The parts of the service that runs `program`.
pub fn parts(program: &str) -> Vec<Part> {
    let path = Path::new(FOLDER).join(format!("{LABEL}.plist"));
    vec![Part { path, content: Content::Sealed(plist(program)) }]
}

// KeepAlive starts it again however it ended, after 10 s at the soonest. ExitTimeOut is launchd's
// KILL, later than daemon.stop_deadline. ProcessType Standard: Background would slow every job down.
fn plist(program: &str) -> String {
    let program = escaped(program);
    let body = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>{LABEL}</string>
	<key>ProgramArguments</key>
	<array>
		<string>{program}</string>
		<string>daemon</string>
	</array>
	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<true/>
	<key>ThrottleInterval</key>
	<integer>10</integer>
	<key>ExitTimeOut</key>
	<integer>60</integer>
	<key>ProcessType</key>
	<string>Standard</string>
	<key>WorkingDirectory</key>
	<string>/</string>
	<key>Umask</key>
	<integer>18</integer>
	<key>StandardOutPath</key>
	<string>/var/log/ldi.log</string>
	<key>StandardErrorPath</key>
	<string>/var/log/ldi.log</string>
</dict>
</plist>
"#
    );
    seal(&body, "<!-- ", " -->")
}

/// Text between two tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_the_label() {
        assert_eq!(TARGET, format!("system/{LABEL}"));
    }

    #[test]
    fn text_is_escaped() {
        assert!(plist("/a&<b>/ldi").contains("<string>/a&amp;&lt;b&gt;/ldi</string>"));
    }
}
