//! The rules of resources, pure: whom a token is for, what it may allow there, and the form that it has.
//!
//! 1. [`Registry::targets`]: an application asks for resources by their URIs, or by their scopes alone.
//! 2. [`Registry::scope_for`]: what of a scope can be had there, by the resource and by the user's roles. The rest is left out, and the
//!    reply says so (RFC 6749 §3.3).
//! 3. [`Registry::pick`]: a code or a refresh token was given for some resources; each access token is for those of them that are
//!    asked for, in the one form that they take.
//!
//! While no resource is registered, `[tokens] audiences` alone says whom tokens may be for, and scopes are the clients'.

use regrant_jose::jwe::Encrypter;

use super::{Resource, Scope, SigningAlg};
use crate::{
    client::redirect_uri::Parts,
    id::ClientId,
    mint::{ADMIN_SCOPE, scope_now},
    ports::Broken,
    scope::KNOWN,
    settings::Settings,
};

/// Resources that one request may name: each stands in the token.
const MOST_TARGETS: usize = 10;

/// All registered resources at one moment.
#[derive(Debug, Default)]
pub struct Registry {
    known: Vec<Known>,
    /// There is one, or there was: what is for none of them is not for everybody any more.
    ever: bool,
}

#[derive(Debug)]
struct Known {
    resource: Resource,
    encrypter: Option<Encrypter>,
}

/// How a token is made for whom it is for.
#[derive(Clone, Debug)]
pub struct Form {
    /// Its signature.
    pub signing: SigningAlg,
    /// Encrypts it once it is signed (RFC 7519 §11.2).
    pub encrypter: Option<Encrypter>,
}

impl Default for Form {
    fn default() -> Self {
        Self { signing: SigningAlg::Es256, encrypter: None }
    }
}

impl Form {
    fn is_like(&self, other: &Self) -> bool {
        // What is encrypted to one key, another cannot open.
        self.signing == other.signing && self.encrypter.is_none() && other.encrypter.is_none()
    }
}

/// Whom one access token is for, what it allows there, and its form.
#[derive(Clone, Debug, Default)]
pub struct Target<'t> {
    /// `aud`.
    pub audience: Vec<&'t str>,
    /// `scope`.
    pub scope: String,
    /// Signed and encrypted how.
    pub form: Form,
}

/// Why nobody can be meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Untargeted {
    /// A resource is no URI, or cannot be asked for (RFC 8707 §2: `invalid_target`).
    Target,
    /// The scopes are those of several resources, and none was named (RFC 9068 §3: `invalid_scope`).
    Scope,
}

/// The audiences of a grant, which are written with a space between. A session's one may have a space itself, and is then no
/// URI.
#[must_use]
pub fn audiences(text: &str) -> Vec<&str> {
    let several = text.contains(' ') && text.split(' ').all(|part| Parts::of(part).is_ok());
    if several { text.split(' ').collect() } else { vec![text] }
}

impl Registry {
    /// Of what the store has; `ever` says whether it had any before.
    ///
    /// # Errors
    /// [`Broken::Damaged`] if a key cannot be used any more.
    pub fn new(resources: Vec<Resource>, ever: bool) -> Result<Self, Broken> {
        let ever = ever || !resources.is_empty();
        let known = |resource: Resource| {
            let damaged = || Broken::Damaged(format!("the encryption key of the resource {}", resource.id));
            let encryption = resource.metadata.encryption.as_ref();
            let encrypter = encryption.map(|encryption| encryption.encrypter().ok_or_else(damaged)).transpose()?;
            Ok(Known { encrypter, resource })
        };
        resources.into_iter().map(known).collect::<Result<_, _>>().map(|known| Self { known, ever })
    }

    /// Whether it is made of these.
    pub(super) fn is_of(&self, resources: &[Resource], ever: bool) -> bool {
        self.ever == (ever || !resources.is_empty())
            && self.known.len() == resources.len()
            && self.known.iter().zip(resources).all(|(known, resource)| known.resource == *resource)
    }

    /// Whether there is one, or was.
    #[must_use]
    pub const fn was_ever_any(&self) -> bool {
        self.ever
    }

    /// The resources.
    pub fn all(&self) -> impl Iterator<Item = &Resource> {
        self.known.iter().map(|known| &known.resource)
    }

    fn find(&self, id: &str) -> Option<&Known> {
        self.known.iter().find(|known| known.resource.id == id)
    }

    /// This scope of those of `targets` that have it, each with its own rule.
    fn of_targets<'s>(&'s self, targets: &'s [&str], part: &'s str) -> impl Iterator<Item = &'s Scope> {
        targets.iter().filter_map(|id| self.find(id)).filter_map(move |known| known.scope(part))
    }

    fn is_somebodys(&self, part: &str) -> bool {
        self.known.iter().any(|known| known.scope(part).is_some())
    }

    /// Whether tokens for it may be asked for.
    #[must_use]
    pub fn allows(&self, settings: &Settings, audience: &str) -> bool {
        if !self.ever {
            return settings.audience_for(Some(audience)).is_some();
        }
        let listed = settings.audiences.iter().flatten().any(|known| known == audience);
        // The issuer's own are for userinfo.
        listed || self.find(audience).is_some() || audience == settings.audience || audience == settings.issuer
    }

    /// The audience of a session's tokens when `asked` is asked for; `None` if that is refused.
    #[must_use]
    pub fn audience_for(&self, settings: &Settings, asked: Option<&str>) -> Option<String> {
        let asked = asked.unwrap_or(&settings.audience);
        self.allows(settings, asked).then(|| asked.to_owned())
    }

    /// Whom tokens of this scope, which its client may have, are to be for. `is_said`: the application asked for it by name.
    ///
    /// # Errors
    /// [`Untargeted`]
    pub fn targets(
        &self,
        settings: &Settings,
        asked: &[&str],
        scope: &str,
        is_said: bool,
    ) -> Result<Vec<String>, Untargeted> {
        if asked.is_empty() {
            return self.meant(settings, scope, is_said);
        }
        let mut targets: Vec<String> = Vec::new();
        for uri in asked {
            // RFC 8707 §2: an absolute URI without a fragment, and one that may be asked for.
            if Parts::of(uri).is_err() || !self.allows(settings, uri) {
                return Err(Untargeted::Target);
            }
            if !targets.iter().any(|known| known == uri) {
                targets.push((*uri).to_owned());
            }
        }
        if targets.len() > MOST_TARGETS { Err(Untargeted::Target) } else { Ok(targets) }
    }

    /// RFC 9068 §3: without a resource the scopes say which one is meant; several are not guessed among.
    fn meant(&self, settings: &Settings, scope: &str, is_said: bool) -> Result<Vec<String>, Untargeted> {
        let parts: Vec<&str> = scope.split(' ').filter(|part| self.is_somebodys(part)).collect();
        let has_all = |known: &Known| parts.iter().all(|part| known.scope(part).is_some());
        let usual = || Ok(vec![settings.audience.clone()]);
        if parts.is_empty() || self.find(&settings.audience).is_some_and(has_all) {
            return usual();
        }
        let mut able = self.known.iter().filter(|known| has_all(known));
        match (able.next(), able.next()) {
            (Some(only), None) => Ok(vec![only.resource.id.clone()]),
            _ if is_said => Err(Untargeted::Scope),
            _ => usual(),
        }
    }

    /// What of `scope` can be had at `targets`; `roles` are the user's, `None` where they are not known yet or there is no user.
    #[must_use]
    pub fn scope_for(&self, targets: &[&str], scope: &str, roles: Option<&[String]>) -> String {
        let elsewhere = targets.iter().any(|target| self.find(target).is_none());
        let may = |part: &&str| {
            if KNOWN.contains(part) {
                return true;
            }
            if *part == ADMIN_SCOPE {
                // This server's own: a resource that gets such a token must not be able to use it here.
                // For two, the other one could.
                return matches!(targets, [only] if self.find(only).is_none());
            }
            let mut held = self.of_targets(targets, part).peekable();
            if held.peek().is_none() {
                // What is no registered resource's is its client's and the API's own business.
                return elsewhere && !self.is_somebodys(part);
            }
            // RFC 9068 §5: a token for several must not open one of them by what is allowed at another.
            held.all(|scope| roles.is_none_or(|roles| scope.is_for(roles)))
        };
        scope.split(' ').filter(|part| !part.is_empty()).filter(may).collect::<Vec<_>>().join(" ")
    }

    /// Whether roles matter to it at all.
    #[must_use]
    pub fn asks_for_roles(&self, targets: &[&str], scope: &str) -> bool {
        scope.split(' ').any(|part| self.of_targets(targets, part).any(|scope| !scope.roles.is_empty()))
    }

    /// Those of the resources `granted` that a token is to be for, by their URIs `asked`, with the form of it. `None`: one was not
    /// granted, or is none any more, or they take no common form (RFC 8707 §2.2).
    #[must_use]
    pub fn pick<'g>(&self, settings: &Settings, granted: &'g str, asked: &[String]) -> Option<(Vec<&'g str>, Form)> {
        let all = audiences(granted);
        // What was granted before there were resources goes on as long as there are none.
        let stands = |audience: &&str| !self.ever || self.allows(settings, audience);
        if !asked.iter().all(|asked| all.contains(&asked.as_str())) {
            return None;
        }
        let mut picked: Vec<&'g str> =
            all.into_iter().filter(|granted| asked.is_empty() || asked.iter().any(|asked| asked == granted)).collect();
        let were = picked.len();
        picked.retain(stands);
        if !asked.is_empty() && picked.len() < were {
            return None;
        }
        let first = self.form_of(picked.first()?);
        if picked.len() == 1 || picked.iter().all(|audience| first.is_like(&self.form_of(audience))) {
            return Some((picked, first));
        }
        if !asked.is_empty() {
            return None;
        }
        picked.truncate(1);
        Some((picked, first))
    }

    /// The form of tokens for one audience.
    #[must_use]
    pub fn form_of(&self, audience: &str) -> Form {
        let known = self.find(audience);
        known.map_or_else(Form::default, |known| Form {
            signing: known.resource.metadata.signing_alg,
            encrypter: known.encrypter.clone(),
        })
    }

    /// Whom a grant's next token is for, and what it allows there now; `None` as [`Registry::pick`].
    #[must_use]
    pub fn target<'g>(
        &self,
        settings: &Settings,
        granted: &'g str,
        asked: &[String],
        scope: &str,
        roles: &[String],
    ) -> Option<Target<'g>> {
        let (audience, form) = self.pick(settings, granted, asked)?;
        let scope = self.scope_for(&audience, &scope_now(scope, roles), Some(roles));
        Some(Target { audience, scope, form })
    }

    /// What a person allows, as it is remembered: a resource's scope is allowed there only, whoever has one of that name later.
    #[must_use]
    pub fn to_allow(&self, targets: &[&str], scope: &str) -> String {
        let mut parts: Vec<String> = Vec::new();
        for part in scope.split(' ').filter(|part| !part.is_empty()) {
            let holders: Vec<&str> = self
                .known
                .iter()
                .filter(|known| known.scope(part).is_some())
                .map(|known| known.resource.id.as_str())
                .collect();
            if holders.is_empty() {
                parts.push(part.to_owned());
            } else {
                let meant = holders.iter().filter(|holder| targets.contains(holder));
                parts.extend(meant.map(|holder| format!("{part}@{holder}")));
            }
        }
        parts.join(" ")
    }

    /// What a scope means at these resources, in words.
    #[must_use]
    pub fn words(&self, targets: &[&str], part: &str) -> Option<&str> {
        let mut held = targets.iter().filter_map(|id| self.find(id)).filter_map(|known| known.scope(part));
        held.find_map(|scope| scope.description.as_deref())
    }

    /// The same for a part of what is remembered ([`Self::to_allow`]), with that part.
    #[must_use]
    pub fn allowed_in_words(&self, part: &str) -> Option<(String, String)> {
        let words = self.all().find_map(|resource| {
            let scope = part.strip_suffix(resource.id.as_str()).and_then(|part| part.strip_suffix('@')).unwrap_or(part);
            self.words(&[&resource.id], scope)
        });
        Some((part.to_owned(), words?.to_owned()))
    }

    /// Whether this client is one of these audiences itself (RFC 7662 §2.1).
    #[must_use]
    pub fn is_of_client(&self, audience: &[String], client: &ClientId) -> bool {
        audience
            .iter()
            .filter_map(|id| self.find(id))
            .any(|known| known.resource.metadata.client.as_ref() == Some(client))
    }

    /// The scopes of all resources, each once.
    #[must_use]
    pub fn scopes(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.all().flat_map(|resource| &resource.metadata.scopes).map(|scope| scope.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Known {
    fn scope(&self, name: &str) -> Option<&Scope> {
        self.resource.metadata.scopes.iter().find(|scope| scope.name == name)
    }
}

impl Scope {
    /// Whether somebody with these roles may get it.
    #[must_use]
    pub fn is_for(&self, roles: &[String]) -> bool {
        self.roles.is_empty() || self.roles.iter().any(|role| roles.contains(role))
    }
}
