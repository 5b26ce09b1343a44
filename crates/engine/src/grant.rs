//! How a client gets tokens at the token endpoint: a file for each grant type, named after it.

pub mod authorization_code;
pub mod client_credentials;
pub mod device_code;
pub mod refresh_token;

use crate::{mint::IdToken, refresh::Tokens};

/// Tokens of a user for a client.
#[derive(Debug)]
pub struct Granted {
    /// Access token and, where the client may have one, refresh token.
    pub tokens: Box<Tokens>,
    /// Where `openid` was granted.
    pub id_token: Option<IdToken>,
}
