//! A real browser: Debian's Chromium, without a window and without a network.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// What the browser makes of a page that lies in a file: its document, after everything that the page could run has run.
pub fn document_of(page: &Path) -> String {
    document_at(&format!("file://{}", page.display())).0
}

/// The same of an address, with what the browser complains of.
pub fn document_at(url: &str) -> (String, String) {
    let profile = TempDir::new().expect("a folder");
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--virtual-time-budget=2000", "--enable-logging=stderr", "--dump-dom"])
        .arg(url)
        .output()
        .expect("`make test` installs chromium");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    (String::from_utf8(output.stdout).expect("a document in UTF-8"), said)
}
