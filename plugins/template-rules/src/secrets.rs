//! What a token, a key or a password looks like: a small set of forms that their makers publish, and assignments to
//! names of secrets. It answers what and where, never the value.

/// A form with a beginning of its own.
struct Form {
    what: &'static str,
    beginning: &'static str,
    is_part: fn(u8) -> bool,
    length_min: usize,
}

const fn form(what: &'static str, beginning: &'static str, is_part: fn(u8) -> bool, length_min: usize) -> Form {
    Form { what, beginning, is_part, length_min }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_dashed(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

fn is_capital(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

/// Each with the fewest signs that follow its beginning.
const FORMS: [Form; 20] = [
    form("an access key of AWS", "AKIA", is_capital, 16),
    form("an access key of AWS", "ASIA", is_capital, 16),
    form("a token of GitHub", "ghp_", is_word, 36),
    form("a token of GitHub", "gho_", is_word, 36),
    form("a token of GitHub", "ghu_", is_word, 36),
    form("a token of GitHub", "ghs_", is_word, 36),
    form("a token of GitHub", "ghr_", is_word, 36),
    form("a token of GitHub", "github_pat_", is_word, 22),
    form("a token of GitLab", "glpat-", is_dashed, 20),
    form("a token of Slack", "xoxb-", is_dashed, 10),
    form("a token of Slack", "xoxp-", is_dashed, 10),
    form("a token of Slack", "xapp-", is_dashed, 10),
    form("a key of Stripe", "sk_live_", is_word, 16),
    form("a key of Stripe", "rk_live_", is_word, 16),
    form("a key of Google", "AIza", is_dashed, 35),
    form("a token of npm", "npm_", is_word, 36),
    form("a token of PyPI", "pypi-", is_dashed, 50),
    form("a key of OpenAI", "sk-proj-", is_dashed, 20),
    form("a key of Anthropic", "sk-ant-", is_dashed, 20),
    form("a key of SendGrid", "SG.", |byte| is_dashed(byte) || byte == b'.', 60),
];

/// Everything in the text that looks like a credential: what, and where. Each maker once, whose forms stand together.
pub fn find(text: &str) -> Vec<(&'static str, usize)> {
    let of_forms = FORMS.iter().filter_map(|form| Some((form.what, first_of(form, text)?)));
    let others = [
        ("a private key", private_key(text)),
        ("a JSON Web Token", web_token(text)),
        ("a password in an address", password_in_address(text)),
        ("the value of a secret", assignment(text)),
    ];
    let others = others.into_iter().filter_map(|(what, place)| Some((what, place?)));
    let mut found: Vec<_> = of_forms.chain(others).collect();
    found.dedup_by_key(|(what, _)| *what);
    found
}

fn first_of(form: &Form, text: &str) -> Option<usize> {
    // Most texts are short, and preparing a search takes longer than they do.
    if text.len() < form.beginning.len() + form.length_min {
        return None;
    }
    let is_whole = |offset: usize| {
        let before = text[..offset].bytes().next_back();
        let after = text[offset + form.beginning.len()..].bytes();
        before.is_none_or(|byte| !is_dashed(byte))
            && after.take(form.length_min).take_while(|byte| (form.is_part)(*byte)).count() >= form.length_min
    };
    text.match_indices(form.beginning).map(|(offset, _)| offset).find(|offset| is_whole(*offset))
}

/// `-----BEGIN … PRIVATE KEY-----`.
fn private_key(text: &str) -> Option<usize> {
    const BEGINNING: &str = "-----BEGIN ";
    // The longest name that is in use has 10 letters.
    const NAME_MAX: usize = 24;
    text.match_indices(BEGINNING).map(|(offset, _)| offset).find(|offset| {
        let after = text.as_bytes()[offset + BEGINNING.len()..].iter().take(NAME_MAX + 16);
        let line: Vec<u8> = after.copied().take_while(|byte| *byte != b'\n').collect();
        line.windows(16).any(|window| window == b"PRIVATE KEY-----")
            || line.windows(17).any(|window| window == b"PRIVATE KEY BLOCK")
    })
}

/// Three parts in Base64url, of which the first two are JSON objects.
fn web_token(text: &str) -> Option<usize> {
    const PART_MIN: usize = 10;
    // A run of such signs is looked at once, from its beginning.
    let is_beginning = |offset: &usize| text[..*offset].bytes().next_back().is_none_or(|byte| !is_dashed(byte));
    text.match_indices("eyJ").map(|(offset, _)| offset).filter(is_beginning).find(|offset| {
        let mut rest = &text[*offset..];
        for number in 0..3 {
            let length = rest.bytes().take_while(|byte| is_dashed(*byte)).count();
            if length < PART_MIN || (number == 1 && !rest.starts_with("eyJ")) {
                return false;
            }
            rest = &rest[length..];
            if number < 2 {
                match rest.strip_prefix('.') {
                    Some(after) => rest = after,
                    None => return false,
                }
            }
        }
        true
    })
}

/// `scheme://user:password@host`, where the password is no placeholder.
fn password_in_address(text: &str) -> Option<usize> {
    const AUTHORITY_MAX_BYTES: usize = 300;
    text.match_indices("://").map(|(offset, _)| offset).find(|offset| {
        let after = &text.as_bytes()[offset + 3..];
        let authority = after.iter().take(AUTHORITY_MAX_BYTES);
        let length = authority
            .take_while(|byte| {
                !byte.is_ascii_whitespace() && !matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>')
            })
            .count();
        let authority = &after[..length];
        let Some(at) = authority.iter().rposition(|byte| *byte == b'@') else { return false };
        let Some(colon) = authority[..at].iter().position(|byte| *byte == b':') else { return false };
        authority[colon + 1..at].first().is_some_and(u8::is_ascii_alphanumeric)
    })
}

/// `PASSWORD=…`, `"apiKey": "…"`: a name of a secret, and a value that was made rather than written: letters and digits,
/// eight at least.
fn assignment(text: &str) -> Option<usize> {
    const NAMES: [&str; 9] =
        ["password", "passwd", "secret", "apikey", "api_key", "api-key", "access_key", "accesskey", "token"];
    const NAME_MAX_BYTES: usize = 64;
    const VALUE_MIN: usize = 8;
    // What decides stands at the beginning.
    const VALUE_MAX: usize = 64;
    let bytes = text.as_bytes();
    let is_filler = |byte: &u8| matches!(byte, b' ' | b'"' | b'\'');
    let is_assigned = |sign: usize| {
        let before = bytes[..sign].iter().rposition(|byte| !is_filler(byte))? + 1;
        let reach = before.saturating_sub(NAME_MAX_BYTES);
        let length = bytes[reach..before].iter().rev().take_while(|byte| is_dashed(**byte)).count();
        let name = &bytes[before - length..before];
        let is_named = |known: &&str| {
            name.len()
                .checked_sub(known.len())
                .is_some_and(|start| name[start..].eq_ignore_ascii_case(known.as_bytes()))
        };
        NAMES.iter().find(|known| is_named(known))?;
        let after = &bytes[sign + 1..];
        let after = &after[after.iter().take(4).take_while(|byte| is_filler(byte)).count()..];
        let is_part = |byte: &u8| byte.is_ascii_graphic() && !b"\"'<>,;()[]{}=".contains(byte);
        let value = &after[..after.iter().take(VALUE_MAX).take_while(|byte| is_part(byte)).count()];
        let is_made = value.len() >= VALUE_MIN
            && value[0].is_ascii_alphanumeric()
            && value.iter().any(u8::is_ascii_digit)
            && value.iter().any(u8::is_ascii_alphabetic)
            && !value.windows(3).any(|window| window == b"://");
        is_made.then_some(before - length)
    };
    text.match_indices(['=', ':']).find_map(|(sign, _)| is_assigned(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(text: &str) -> Vec<&'static str> {
        find(text).into_iter().map(|(what, _)| what).collect()
    }

    #[test]
    fn knows_credentials() {
        let long = "a1B2c3D4e5".repeat(6);
        let key = |beginning: &str| format!("use {beginning}{long} here");
        assert_eq!(what("AKIAIOSFODNN7EXAMPLE"), ["an access key of AWS"]);
        assert_eq!(what(&key("ghp_")), ["a token of GitHub"]);
        assert_eq!(what(&key("glpat-")), ["a token of GitLab"]);
        assert_eq!(what(&key("xoxb-")), ["a token of Slack"]);
        assert_eq!(what(&key("sk_live_")), ["a key of Stripe"]);
        assert_eq!(what(&key("AIza")), ["a key of Google"]);
        assert_eq!(what(&key("sk-ant-")), ["a key of Anthropic"]);
        assert_eq!(what("-----BEGIN RSA PRIVATE KEY-----\nMII"), ["a private key"]);
        assert_eq!(what("-----BEGIN PRIVATE KEY-----"), ["a private key"]);
        assert_eq!(what("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.c2lnbmF0dXJl"), ["a JSON Web Token"]);
        assert_eq!(what("postgres://app:hunter2@db/x"), ["a password in an address"]);
        for assigned in ["DB_PASSWORD=hunter22", "\"apiKey\": \"abc12345\"", "token: 'a1b2c3d4'"] {
            assert_eq!(what(assigned), ["the value of a secret"], "{assigned}");
        }
        assert_eq!(find("a\nsecret=abcdefg1"), [("the value of a secret", 2)]);
    }

    #[test]
    fn takes_nothing_else_for_one() {
        for plain in [
            "",
            "AKIA",
            "the prefix ghp_ begins a token",
            "password: {{ password }}",
            "PASSWORD=${PASSWORD}",
            "password: required",
            "token: https://example.org/a1b2",
            "https://example.org:8080/a@b",
            "https://user:{{ password }}@example.org",
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN CERTIFICATE-----",
            "eyJ alone",
            "keyboard: qwerty12345",
            "xAKIAIOSFODNN7EXAMPLE",
            "secret=",
        ] {
            assert_eq!(what(plain), [""; 0], "{plain}");
        }
    }
}
