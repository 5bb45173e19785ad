//! The key that webhooks' secrets are made from, as `doctor` and `restore` look at it: it is in no backup, and without it
//! nothing is sent.

use std::path::{Path, PathBuf};

use super::serve::{WEBHOOK_KEY_FILE, read_secret};
use super::show;
use crate::registry::webhooks::secret::WebhookKey;

/// The key that a host with this folder has, where it has one, and where it is.
pub fn own_key(data: &Path, named: Option<&Path>) -> (Option<WebhookKey>, PathBuf) {
    let path = named.map_or_else(|| data.join(WEBHOOK_KEY_FILE), Path::to_owned);
    let text = read_secret(&path).ok().flatten();
    (text.and_then(|text| WebhookKey::from_text(&text).ok()), path)
}

/// Which webhooks are sent nothing, since their secrets are of another key than this. `made` has the keys' ids, each with
/// how many webhooks are of it.
pub fn mute(made: &[(String, u64)], own: Option<&WebhookKey>) -> Option<String> {
    let own = own.map(WebhookKey::id);
    let others: Vec<&(String, u64)> = made.iter().filter(|(key, _)| Some(key) != own.as_ref()).collect();
    let count: u64 = others.iter().map(|(_, count)| count).sum();
    if count == 0 {
        return None;
    }
    let ids: Vec<&str> = others.iter().map(|(key, _)| key.as_str()).collect();
    let webhooks = show::counted(usize::try_from(count).unwrap_or(usize::MAX), "webhook");
    Some(format!(
        "{webhooks} will be sent nothing: made with the webhook key {}, which is not the one here. Put the {WEBHOOK_KEY_FILE} that \
         was kept into the data folder (or name it with --webhook-key), or give each another secret (`hallmark webhook rotate`) \
         and its receiver too",
        ids.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_of_another_key_are_told() {
        let (own, other) = (WebhookKey::generate(), WebhookKey::generate());
        assert_eq!(mute(&[], None), None);
        assert_eq!(mute(&[(own.id(), 3)], Some(&own)), None);
        let told = mute(&[(own.id(), 3), (other.id(), 1)], Some(&own)).expect("told");
        assert!(
            told.starts_with(&format!("1 webhook will be sent nothing: made with the webhook key {}, ", other.id()))
        );
        assert!(mute(&[(own.id(), 2)], None).expect("told").starts_with("2 webhooks will be sent nothing: "));
    }
}
