//! Whose plugins are believed: keys that a tenant trusts, what they signed, and whether it asks for a signature. What
//! is in force already is not touched by a change of these; it is told of.

use std::collections::HashMap;

use super::publish::not_found;
use super::release::{Binding, ReleaseRef, Rules};
use super::releasing::parse_rules;
use super::signing::{KeyError, PluginSignature, PublicKey};
use super::store::{KeyRow, Page, PluginRow, SignatureRow, Signatures, Trust};
use super::{Actor, Registry, RegistryError};
use crate::clock::Millis;
use crate::names::{Digest, KeyId};

/// Characters of a key's name.
const NAME_MAX_CHARACTERS: usize = 100;

/// Why a plugin's signature does not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// There is none of a trusted key.
    #[error(
        "no trusted key signed it, and this tenant asks for that: sign it with `hallmark plugin sign` and push it with \
         its signature"
    )]
    Missing,
    /// It is of a key that is not trusted.
    #[error(
        "its signature is of the key {0}, which is not trusted here: trust it with `hallmark plugin trust add`, or sign it with a key that is"
    )]
    Unknown(KeyId),
    /// It is of a key that was revoked.
    #[error("its signature is of the key {id} ('{name}'), which was revoked: sign it with another")]
    Revoked {
        /// The key.
        id: KeyId,
        /// Its name.
        name: String,
    },
    /// It is not of this plugin, or not of the key that it names.
    #[error("its signature does not fit, of the key {0}: sign these very bytes again")]
    Bad(KeyId),
}

/// A binding in force whose plugin no trusted key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedBinding {
    /// The active release.
    pub release: ReleaseRef,
    /// The binding.
    pub binding: String,
    /// The plugin.
    pub plugin: Digest,
}

impl Registry {
    /// Trusts a key; true where it was not trusted before.
    ///
    /// # Errors
    /// `BadKey` where it is none, its name has not its form, or it was revoked; `Store`.
    pub async fn add_key(&self, actor: &Actor, name: &str, pem: &str) -> Result<(KeyRow, bool), RegistryError> {
        let key = PublicKey::from_pem(pem)?;
        let length = name.chars().count();
        if !(1..=NAME_MAX_CHARACTERS).contains(&length) || name.chars().any(char::is_control) {
            let what = format!("a key's name has 1 to {NAME_MAX_CHARACTERS} characters, and no control characters");
            return Err(KeyError::new(what).into());
        }
        let row = KeyRow {
            id: key.id(),
            name: name.to_owned(),
            public_key: key.to_pem(),
            added_by: actor.name.clone(),
            added_at: Millis::now(),
            revoked: None,
        };
        if self.store.insert_key(&actor.tenant, &row).await? {
            return Ok((row, true));
        }
        let known = self.trusted_key(actor, &row.id).await?;
        if known.revoked.is_some() {
            let what = format!("the key {} ('{}') was revoked and stays so: make a new one", known.id, known.name);
            return Err(KeyError::new(what).into());
        }
        Ok((known, false))
    }

    /// Keys by id, after `after`.
    ///
    /// # Errors
    /// `Store`.
    pub async fn keys(&self, actor: &Actor, after: Option<&KeyId>, limit: u32) -> Result<Page<KeyRow>, RegistryError> {
        Ok(self.store.keys(&actor.tenant, after, limit).await?)
    }

    /// Believes a key no more. What it signed and is in force goes on; new releases and activations need another's
    /// signature, where signatures are required.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn revoke_key(&self, actor: &Actor, id: &str) -> Result<KeyRow, RegistryError> {
        let parsed: KeyId = id.parse().map_err(|_| not_found("key", id))?;
        self.store.revoke_key(&actor.tenant, &parsed, &actor.name, Millis::now()).await?;
        self.trusted_key(actor, &parsed).await
    }

    async fn trusted_key(&self, actor: &Actor, id: &KeyId) -> Result<KeyRow, RegistryError> {
        self.store.key(&actor.tenant, id).await?.ok_or_else(|| not_found("key", id.as_str()))
    }

    /// Whether plugins must be signed.
    ///
    /// # Errors
    /// `Store`.
    pub async fn signatures(&self, actor: &Actor) -> Result<Signatures, RegistryError> {
        Ok(self.store.trust(&actor.tenant).await?.signatures)
    }

    /// Says whether plugins must be signed, from the next push, release and activation on.
    ///
    /// # Errors
    /// `Store`.
    pub async fn set_signatures(&self, actor: &Actor, rule: Signatures) -> Result<(), RegistryError> {
        self.store.set_signatures(&actor.tenant, rule, &actor.name, Millis::now()).await?;
        Ok(())
    }

    /// The keys that signed a plugin, revoked ones too.
    ///
    /// # Errors
    /// `Store`.
    pub async fn signers(&self, actor: &Actor, plugin: &Digest) -> Result<Vec<KeyRow>, RegistryError> {
        Ok(self.store.signers(&actor.tenant, plugin).await?)
    }

    /// Keeps a signature of a plugin that is there.
    ///
    /// # Errors
    /// `NotFound`; `Unsigned` where the signature does not fit or its key is not trusted; `Store`.
    pub async fn add_signature(
        &self,
        actor: &Actor,
        digest: &str,
        signature: &PluginSignature,
    ) -> Result<(), RegistryError> {
        let plugin = self.plugin(actor, digest).await?.digest;
        let row = self.check_signature(actor, &plugin, signature).await?;
        let row = row.map_err(|why| RegistryError::Unsigned { plugin, binding: None, why })?;
        self.store.insert_signature(&actor.tenant, &row).await?;
        Ok(())
    }

    /// The signature to keep with a plugin that is pushed; none where the key of the one that came is not trusted and
    /// none is asked for. None is asked for where the plugin is `known`: the same bytes again change nothing, and a host
    /// starts again with the folders that it had.
    ///
    /// # Errors
    /// `Unsigned` where it does not fit, or one is asked for and there is none of a trusted key; `Store`.
    pub(super) async fn accept_signature(
        &self,
        actor: &Actor,
        plugin: &Digest,
        signature: Option<&PluginSignature>,
        known: Option<&PluginRow>,
    ) -> Result<Option<SignatureRow>, RegistryError> {
        let refuse = |why| RegistryError::Unsigned { plugin: plugin.clone(), binding: None, why };
        let Some(signature) = signature else {
            // Bytes that are new here have no signature but the one that they come with.
            if known.is_none() && self.signatures(actor).await? == Signatures::Required {
                return Err(refuse(Unsigned::Missing));
            }
            return Ok(None);
        };
        match self.check_signature(actor, plugin, signature).await? {
            Ok(row) => Ok(Some(row)),
            Err(why @ Unsigned::Bad(_)) => Err(refuse(why)),
            Err(_) if known.is_some() => Ok(None),
            Err(why) if self.signatures(actor).await? == Signatures::Required => Err(refuse(why)),
            Err(_) => Ok(None),
        }
    }

    /// Makes sure that a trusted key signed each plugin that is bound, where that is asked for; gives the number of the
    /// keys and signatures that it looked in.
    ///
    /// # Errors
    /// `Unsigned`, `Store`.
    pub(super) async fn demand_signatures(&self, actor: &Actor, bindings: &[Binding]) -> Result<i64, RegistryError> {
        let Trust { signatures, number } = self.store.trust(&actor.tenant).await?;
        if signatures == Signatures::Optional {
            return Ok(number);
        }
        for Binding { plugin, name, .. } in bindings {
            if let Some(why) = self.lacks_signature(actor, plugin).await? {
                return Err(RegistryError::Unsigned { plugin: plugin.clone(), binding: Some(name.clone()), why });
            }
        }
        Ok(number)
    }

    /// Why the plugin is not believed; none where a trusted key signed it.
    async fn lacks_signature(&self, actor: &Actor, plugin: &Digest) -> Result<Option<Unsigned>, RegistryError> {
        let signers = self.signers(actor, plugin).await?;
        if signers.iter().any(|key| key.revoked.is_none()) {
            return Ok(None);
        }
        Ok(Some(match signers.into_iter().next() {
            Some(KeyRow { id, name, .. }) => Unsigned::Revoked { id, name },
            None => Unsigned::Missing,
        }))
    }

    async fn check_signature(
        &self,
        actor: &Actor,
        plugin: &Digest,
        signature: &PluginSignature,
    ) -> Result<Result<SignatureRow, Unsigned>, RegistryError> {
        let id = &signature.key_id;
        let Some(key) = self.store.key(&actor.tenant, id).await? else { return Ok(Err(Unsigned::Unknown(id.clone()))) };
        let public = PublicKey::from_pem(&key.public_key)
            .map_err(|error| RegistryError::Internal(format!("a stored key cannot be read: {error}")))?;
        if signature.plugin != *plugin || !public.signed(signature) {
            return Ok(Err(Unsigned::Bad(id.clone())));
        }
        if key.revoked.is_some() {
            return Ok(Err(Unsigned::Revoked { id: key.id, name: key.name }));
        }
        Ok(Ok(SignatureRow {
            plugin: plugin.clone(),
            key: key.id,
            signature: signature.signature.clone(),
            added_by: actor.name.clone(),
            added_at: Millis::now(),
        }))
    }

    /// Bindings in force whose plugins no trusted key signed. They go on: taking rules away because a key was would
    /// open the door.
    ///
    /// # Errors
    /// `Store`.
    pub async fn unsigned_in_force(&self, actor: &Actor) -> Result<Vec<UnsignedBinding>, RegistryError> {
        let mut signed: HashMap<Digest, bool> = HashMap::new();
        let mut unsigned = Vec::new();
        for row in self.store.active_releases(&actor.tenant).await? {
            let Rules { bindings, .. } = parse_rules(&row)?;
            for binding in bindings {
                let is_signed = match signed.get(&binding.plugin) {
                    Some(known) => *known,
                    None => {
                        let is_signed = self.lacks_signature(actor, &binding.plugin).await?.is_none();
                        signed.insert(binding.plugin.clone(), is_signed);
                        is_signed
                    }
                };
                if !is_signed {
                    let release = row.release.clone();
                    unsigned.push(UnsignedBinding { release, binding: binding.name, plugin: binding.plugin });
                }
            }
        }
        Ok(unsigned)
    }
}
