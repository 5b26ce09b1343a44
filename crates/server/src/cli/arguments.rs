//! What can be said on the command line. The doc comments are its help.

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, builder::PossibleValuesParser};
use regrant_engine::{
    client::{AuthMethod, ClientType, GrantType, Requirement},
    time::Seconds,
};

use super::jwt::JwtCommand;
use crate::{
    config::{self, ApplicationKind},
    control::KeyKind,
};

/// Signs people in, gives their apps tokens that renew themselves, and finds thieves out.
#[derive(Parser)]
#[command(name = "regrant", version, max_term_width = 100)]
pub(super) struct Arguments {
    /// The data directory of the embedded store [default: ./regrant-data]
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "database")]
    pub(super) data: Option<PathBuf>,
    /// A PostgreSQL database instead, as postgres://user@host/name. The password comes by PGPASSWORD, PGPASSFILE or
    /// REGRANT_DATABASE__URL
    #[arg(long, global = true, value_name = "URL")]
    pub(super) database: Option<String>,
    /// The key file [default: DIR/keys.toml; with --database it must be named]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) keys: Option<PathBuf>,
    /// The configuration [default: DIR/regrant.toml, else ./regrant.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Answer with one JSON document
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Option<Subcommand>,
}

/// Commands whose names are fixed and whose work is a later wave's.
pub(super) const LATER: [&str; 2] = ["token", "risk"];

#[derive(clap::Subcommand)]
pub(super) enum Subcommand {
    /// Play the whole story on a throw-away store: sign in, refresh, lose a reply, be robbed, explain
    Demo {
        /// Exit when the story is told; otherwise serve until Ctrl-C
        #[arg(long)]
        once: bool,
    },
    /// Serve; creates what is missing
    Serve {
        /// Address and port [default: 127.0.0.1:8080]
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
        /// Who we are: https://…, or http on a loopback host [default: the listening address]
        #[arg(long, value_name = "URL")]
        issuer: Option<String>,
        /// Take another issuer than the store's, although that signs everybody out
        #[arg(long)]
        change_issuer: bool,
    },
    /// People who can sign in
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Roles, and who has them
    Role {
        #[command(subcommand)]
        command: RoleCommand,
    },
    /// Who is signed in where
    Session {
        #[command(subcommand)]
        command: SessionCommand,
    },
    /// Applications that may ask for tokens
    Client {
        #[command(subcommand)]
        command: ClientCommand,
    },
    /// APIs that tokens can be for, what can be done there, and who may
    Resource {
        #[command(subcommand)]
        command: ResourceCommand,
    },
    /// The keys that sign tokens, and those that make refresh tokens
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// The tables of a PostgreSQL database: "serve" migrates them too
    Migrate {
        #[command(subcommand)]
        command: MigrateCommand,
    },
    /// Copy the store to a new file while it is served. The keys are not in it
    Backup {
        /// The new file
        file: PathBuf,
    },
    /// Print a script that completes commands on Tab
    Completions {
        /// The shell that is to read it
        shell: clap_complete::Shell,
    },
    /// Put a backup in the store's place, which is kept under another name; or, with a database, prepare what PostgreSQL's own tools
    /// have put back. Signs everybody out
    Restore {
        /// The backup; none with a database
        file: Option<PathBuf>,
        /// Sign nobody out. Sessions that ended after the backup live again
        #[arg(long)]
        keep_sessions: bool,
    },
    /// Move the store to another place, a database or a directory, and compare it there. It is not served from here afterwards
    Move(MoveArgs),
    /// What the configuration is, where it comes from, and what is wrong with it
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Why is somebody signed out? An id (ses_…, grt_…, usr_…, evt_…), or "-" for a token on standard input
    Explain(ExplainArgs),
    /// Look into a token and check it
    Jwt {
        #[command(subcommand)]
        command: JwtCommand,
    },
    #[command(external_subcommand)]
    Later(Vec<OsString>),
}

#[derive(clap::Args)]
pub(super) struct MoveArgs {
    /// Where the store is: a data directory (its path, or sqlite:///path), or postgres://user@host/name. Nobody may serve it
    #[arg(long, value_name = "URL")]
    pub(super) from: String,
    /// Where it is to be: a place without a store. After a stop, the same again goes on where it was
    #[arg(long, value_name = "URL")]
    pub(super) to: String,
    /// Undo a move that was not finished, or whose destination nobody has used yet
    #[arg(long)]
    pub(super) take_back: bool,
}

#[derive(clap::Subcommand)]
pub(super) enum MigrateCommand {
    /// Which version the tables have, what is due, and how far long work is
    Status,
    /// Do what is due, long work too; nodes of the version before go on meanwhile
    Up {
        /// Print the statements instead
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(clap::Args)]
pub(super) struct ExplainArgs {
    /// An id, or "-"
    #[arg(value_name = "ID")]
    pub(super) id: String,
}

#[derive(clap::Subcommand)]
pub(super) enum UserCommand {
    /// Add a user
    Add {
        /// An e-mail address or a username
        email: String,
        /// Read the password from the first line of standard input; without this it is asked for on a terminal
        #[arg(long)]
        password_stdin: bool,
        /// Give it a role; may be said again
        #[arg(long = "role", value_name = "R")]
        roles: Vec<String>,
        /// Give it the role "admin", which is made if need be
        #[arg(long)]
        admin: bool,
        /// Set a claim; may be said again
        #[arg(long = "claim", value_name = "NAME=JSON")]
        claims: Vec<String>,
    },
    /// Show all users
    List,
    /// Show one user
    Show {
        /// Id, e-mail address or username
        #[arg(value_name = "EMAIL")]
        user: String,
    },
    /// Set a password, asked for or from the first line of standard input; ends all of the user's sessions
    SetPassword {
        /// Id, e-mail address or username
        #[arg(value_name = "EMAIL")]
        user: String,
        /// Read the password from standard input; so it is without this, too, where there is no terminal
        #[arg(long)]
        password_stdin: bool,
    },
    /// End all of a user's sessions and let no new one begin
    Disable {
        /// Id, e-mail address or username
        #[arg(value_name = "EMAIL")]
        user: String,
    },
    /// Let a user sign in again
    Enable {
        /// Id, e-mail address or username
        #[arg(value_name = "EMAIL")]
        user: String,
    },
    /// Remove a user and end all of its sessions
    Delete {
        /// Id, e-mail address or username
        #[arg(value_name = "EMAIL")]
        user: String,
    },
    /// Add users from a file of JSON, one object a line, as "export" gives them: all or none
    Import {
        /// The file, or "-"
        file: PathBuf,
    },
    /// Print all users as JSON, one object a line
    Export {
        /// With the hashes of their passwords, which are secrets
        #[arg(long)]
        password_hashes: bool,
    },
}

#[derive(clap::Subcommand, Clone)]
pub(super) enum RoleCommand {
    /// Add a role
    Add {
        /// Letters, digits and - _ . :
        name: String,
        /// What it is for, in words
        #[arg(long, value_name = "WORDS")]
        description: Option<String>,
    },
    /// Show all roles
    List,
    /// Give a role to a user
    Grant {
        /// The role
        role: String,
        /// Id, e-mail address or username
        #[arg(value_name = "EMAIL")]
        user: String,
    },
    /// Take a role from a user
    Revoke {
        /// The role
        role: String,
        /// Id, e-mail address or username
        #[arg(value_name = "EMAIL")]
        user: String,
    },
    /// Remove a role from everybody
    Remove {
        /// The role
        name: String,
    },
}

#[derive(clap::Subcommand, Clone)]
pub(super) enum SessionCommand {
    /// Show live sessions, newest first
    List {
        /// Only this user's: id, e-mail address or username
        #[arg(long, value_name = "EMAIL")]
        user: Option<String>,
        /// Those that ended too
        #[arg(long)]
        ended: bool,
    },
    /// Show one session
    Show {
        /// ses_…
        id: String,
    },
    /// End one session, or all of a user
    Revoke {
        /// ses_…
        id: Option<String>,
        /// All of this user's: id, e-mail address or username
        #[arg(long, value_name = "EMAIL", conflicts_with = "id")]
        user: Option<String>,
    },
}

#[derive(clap::Subcommand)]
pub(super) enum ClientCommand {
    /// Add a client. Its secret, if it needs one, is shown this once
    Add(Box<ClientAddArgs>),
    /// Show all clients
    List,
    /// Show one client
    Show {
        /// Its id
        id: String,
    },
    /// Give a client a new secret, shown this once. The one before works a while longer
    RotateSecret {
        /// Its id
        id: String,
        /// How long the secret before works, as in "24h"; 0 ends it now
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
        keep: Seconds,
    },
    /// Remove a client, and end everything that was granted to it
    Remove {
        /// Its id
        id: String,
    },
    /// Take back what a user granted to a client: it ends, and they are asked again
    Revoke {
        /// The client's id
        id: String,
        /// The user's id, e-mail address or username
        #[arg(long, value_name = "EMAIL")]
        user: String,
    },
}

#[derive(clap::Args)]
pub(super) struct ClientAddArgs {
    /// Its name in requests and tokens: letters, digits and - . _ ~ : /
    #[arg(long)]
    pub(super) id: String,
    /// public: can keep no secret; confidential: runs on a server; service: acts for itself, without people
    #[arg(long = "type", value_name = "TYPE", value_parser = PossibleValuesParser::new(ClientType::NAMES))]
    pub(super) client_type: String,
    /// Where it runs
    #[arg(long, default_value = "browser")]
    pub(super) kind: ApplicationKind,
    /// What people are shown
    #[arg(long, value_name = "N")]
    pub(super) name: Option<String>,
    /// Where people may be sent back to; may be said again
    #[arg(long = "redirect-uri", value_name = "URI")]
    pub(super) redirect_uris: Vec<String>,
    /// Where people may be sent back to after they signed out; may be said again
    #[arg(long = "post-logout-redirect-uri", value_name = "URI")]
    pub(super) post_logout_redirect_uris: Vec<String>,
    /// Where it hears that a session ended (OpenID Connect Back-Channel Logout)
    #[arg(long, value_name = "URI")]
    pub(super) backchannel_logout_uri: Option<String>,
    /// How it may get tokens; may be said again [default: by its type]
    #[arg(long = "grant", value_name = "NAME", value_parser = PossibleValuesParser::new(GrantType::NAMES))]
    pub(super) grants: Vec<String>,
    /// What it may ask for; may be said again [default: openid profile email; a service's: none]
    #[arg(long = "scope", value_name = "S")]
    pub(super) scopes: Vec<String>,
    /// How it says who it is [default: by its type]
    #[arg(long, value_name = "M", value_parser = PossibleValuesParser::new(AuthMethod::NAMES))]
    pub(super) auth_method: Option<String>,
    /// Its public keys: a file, or where they are
    #[arg(long, value_name = "FILE|URL")]
    pub(super) jwks: Option<String>,
    /// Whether a request without PKCE is refused; always required of public clients
    #[arg(long, value_parser = PossibleValuesParser::new(Requirement::NAMES))]
    pub(super) pkce: Option<String>,
    /// Whether its tokens are bound to a key: a request without a DPoP proof is refused
    #[arg(long, value_parser = PossibleValuesParser::new(Requirement::NAMES))]
    pub(super) dpop: Option<String>,
    /// It belongs to whoever runs this server: nobody is asked for consent
    #[arg(long)]
    pub(super) first_party: bool,
    /// Its logo, for the pages
    #[arg(long, value_name = "URI")]
    pub(super) logo_uri: Option<String>,
    /// Its privacy policy
    #[arg(long, value_name = "URI")]
    pub(super) policy_uri: Option<String>,
    /// Its terms of service
    #[arg(long, value_name = "URI")]
    pub(super) tos_uri: Option<String>,
    /// What its tokens and userinfo tell of users: a claim, and the attribute that it tells, or @email or @username; may be said
    /// again
    #[arg(long = "claim", value_name = "NAME=ATTRIBUTE")]
    pub(super) claims: Vec<String>,
    /// How long its access tokens live, as in "10m"; at most a day
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) access_lifetime: Option<Seconds>,
    /// Its grants end when they are not used for so long
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) idle: Option<Seconds>,
    /// They end whatever happens after so long
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) absolute: Option<Seconds>,
}

#[derive(clap::Subcommand)]
pub(super) enum ResourceCommand {
    /// Add a resource
    Add(Box<ResourceAddArgs>),
    /// Show all resources
    List,
    /// Show one resource
    Show {
        /// Its URI
        id: String,
    },
    /// Remove a resource: no more tokens are made for it
    Remove {
        /// Its URI
        id: String,
    },
}

#[derive(clap::Args)]
pub(super) struct ResourceAddArgs {
    /// Its URI, absolute and without a fragment: what requests name, and the aud of its tokens
    #[arg(long, value_name = "URI")]
    pub(super) id: String,
    /// What people are shown
    #[arg(long, value_name = "N")]
    pub(super) name: Option<String>,
    /// What can be done there, and in words for the consent page; may be said again
    #[arg(long = "scope", value_name = "NAME[=WORDS]")]
    pub(super) scopes: Vec<String>,
    /// Only who has this role gets that scope; may be said again, and one of several is enough
    #[arg(long = "role", value_name = "SCOPE=ROLE")]
    pub(super) roles: Vec<String>,
    /// How its tokens are signed: ES256, RS256 or Ed25519 [default: ES256]
    #[arg(long, value_name = "ALG")]
    pub(super) signing_alg: Option<String>,
    /// A file with its public key, a JWK: its tokens are encrypted to it
    #[arg(long, value_name = "FILE")]
    pub(super) encryption_key: Option<PathBuf>,
    /// By which algorithm [default: the key's own, or what fits it]
    #[arg(long, value_name = "ALG")]
    pub(super) encryption_alg: Option<String>,
    /// And their content [default: A256GCM]
    #[arg(long, value_name = "ENC")]
    pub(super) encryption_enc: Option<String>,
    /// The client that the API itself is: it may ask about tokens for it
    #[arg(long, value_name = "ID")]
    pub(super) client: Option<String>,
    /// In the place of the one of this URI, if there is one
    #[arg(long)]
    pub(super) replace: bool,
}

fn duration(text: &str) -> Result<Seconds, String> {
    config::duration(text)
}

#[derive(clap::Subcommand, Clone)]
pub(super) enum ConfigCommand {
    /// Load it as "serve" would, show every value with its source, and say what is wrong or doubtful
    Check,
    /// Print the reference page of the configuration, in Markdown
    Reference,
}

#[derive(clap::Subcommand, Clone)]
pub(super) enum KeyCommand {
    /// Show all keys, what they do and until when
    List {
        /// Only these
        #[arg(long)]
        kind: Option<KeyKind>,
    },
    /// Make new keys. Signing keys are published first, and sign once every verifier knows them
    Rotate {
        /// Which
        #[arg(long, default_value = "signing")]
        kind: KeyKind,
        /// Sign with the new keys now: verifiers that keep the published keys refuse their tokens until they ask again
        #[arg(long)]
        now: bool,
    },
    /// Take a key away
    Retire {
        /// The signing key's kid, or the refresh key's number
        // A kid is a thumbprint in base64url, and one in 64 begins with a hyphen.
        #[arg(value_name = "KID", allow_hyphen_values = true)]
        id: String,
        /// Somebody else may have it: it is refused from now on, with all that it made
        #[arg(long)]
        compromised: bool,
        /// Which
        #[arg(long, default_value = "signing")]
        kind: KeyKind,
    },
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Arguments, KeyCommand, Subcommand};

    #[test]
    fn a_kid_may_begin_with_a_hyphen() {
        for kid in ["-Mabc", "-hV", "--x", "plain"] {
            for words in [vec!["key", "retire", kid, "--compromised"], vec!["key", "retire", "--compromised", kid]] {
                let parsed = Arguments::try_parse_from([&["regrant"], words.as_slice()].concat())
                    .map_err(|error| error.to_string());
                let Ok(Some(Subcommand::Key { command: KeyCommand::Retire { id, compromised, .. } })) =
                    parsed.map(|arguments| arguments.command)
                else {
                    panic!("{words:?} is no retirement");
                };
                assert_eq!((id.as_str(), compromised), (kid, true), "{words:?}");
            }
        }
    }
}
