//! The words of `/account`.

use regrant_engine::{
    event::EventKind,
    factor::password::{LONGEST, Weakness},
    reason::Reason,
};

/// The words of `/account`. `{app}` is an application, `{device}` a device.
pub(crate) struct AccountWords {
    pub(crate) title: &'static str,
    pub(crate) devices: &'static str,
    pub(crate) devices_what: &'static str,
    pub(crate) this_device: &'static str,
    pub(crate) unknown_device: &'static str,
    /// Between a browser and its system.
    pub(crate) on: &'static str,
    pub(crate) from: &'static str,
    pub(crate) signed_in_at: &'static str,
    pub(crate) last_used: &'static str,
    pub(crate) this_hour: &'static str,
    pub(crate) an_hour_ago: &'static str,
    pub(crate) hours_ago: &'static str,
    pub(crate) a_day_ago: &'static str,
    pub(crate) days_ago: &'static str,
    pub(crate) history: &'static str,
    pub(crate) end: &'static str,
    pub(crate) end_others: &'static str,
    pub(crate) applications: &'static str,
    pub(crate) applications_what: &'static str,
    pub(crate) no_applications: &'static str,
    pub(crate) since: &'static str,
    pub(crate) while_away: &'static str,
    pub(crate) withdraw: &'static str,
    pub(crate) password: &'static str,
    pub(crate) password_what: &'static str,
    pub(crate) change_password: &'static str,
    pub(crate) current_password: &'static str,
    pub(crate) new_password: &'static str,
    pub(crate) password_rules: &'static str,
    pub(crate) password_ends: &'static str,
    pub(crate) password_wrong: &'static str,
    pub(crate) activity: &'static str,
    pub(crate) no_activity: &'static str,
    pub(crate) times: &'static str,
    pub(crate) end_question: &'static str,
    pub(crate) end_what: &'static str,
    pub(crate) end_others_question: &'static str,
    pub(crate) end_others_what: &'static str,
    pub(crate) withdraw_question: &'static str,
    pub(crate) withdraw_what: &'static str,
    pub(crate) keep: &'static str,
    pub(crate) back: &'static str,
    pub(crate) history_of: &'static str,
    pub(crate) history_what: &'static str,
    pub(crate) done_ended: &'static str,
    pub(crate) done_ended_others: &'static str,
    pub(crate) done_withdrawn: &'static str,
    pub(crate) done_password: &'static str,
    pub(crate) done_gone: &'static str,
    /// `{day}`, `{month}`, `{year}`, `{time}`.
    pub(crate) date: &'static str,
    pub(crate) months: [&'static str; 12],
    /// What happened, to whom it concerns; `None` where it says nothing to them.
    pub(crate) event: fn(EventKind) -> Option<&'static str>,
    /// Why something ended, to its owner.
    pub(crate) reason: fn(Reason) -> &'static str,
    /// What is wrong with a new password.
    pub(crate) weakness: fn(Weakness) -> String,
}

pub(super) const ENGLISH: AccountWords = AccountWords {
    title: "Your account",
    devices: "Your devices",
    devices_what: "Here you are signed in. If you do not know one of them, sign it out and change your password.",
    this_device: "This device",
    unknown_device: "Unknown device",
    on: "on",
    from: "from {network}",
    signed_in_at: "signed in on {at}",
    last_used: "last used {ago}",
    this_hour: "within the last hour",
    an_hour_ago: "an hour ago",
    hours_ago: "{n} hours ago",
    a_day_ago: "a day ago",
    days_ago: "{n} days ago",
    history: "History",
    end: "Sign out",
    end_others: "Sign out all other devices",
    applications: "Applications with access",
    applications_what: "You let these applications see or do something in your name.",
    no_applications: "No application has access to your account.",
    since: "since {at}",
    while_away: "also while you are not there",
    withdraw: "Take access away",
    password: "Password",
    password_what: "If somebody else may know your password, change it. All your other devices are signed out with it.",
    change_password: "Change password",
    current_password: "Current password",
    new_password: "New password",
    password_rules: "At least {n} characters. Several words that do not belong together are easy to remember.",
    password_ends: "All your other devices are signed out with it, and applications have to ask you again to sign in.",
    password_wrong: "That is not your current password. Look at it and try again.",
    activity: "Recent activity",
    no_activity: "Nothing has happened lately.",
    times: "All times are in UTC. When a device was used is told by the hour.",
    end_question: "Sign out {device}?",
    end_what: "It is signed in {from} and has to sign in again then.",
    end_others_question: "Sign out all other devices?",
    end_others_what: "Every device but this one has to sign in again. Applications that may act while you are not there keep their access.",
    withdraw_question: "Take away the access of {app}?",
    withdraw_what: "{app} can see and do nothing in your name any more, until you allow it again.",
    keep: "Change nothing",
    back: "Back to your account",
    history_of: "History of {device}",
    history_what: "Each bead is a renewal of this sign-in. A token is what the device shows to stay signed in: it is used once and replaced.",
    done_ended: "That device is signed out.",
    done_ended_others: "All other devices are signed out.",
    done_withdrawn: "That application has no access any more.",
    done_password: "Your password is changed. All other devices are signed out.",
    done_gone: "That was over already.",
    date: "{day} {month} {year}, {time}",
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    event: |kind| match kind {
        EventKind::UserCreated => Some("Your account was made"),
        EventKind::UserDisabled => Some("Your account was disabled"),
        EventKind::UserEnabled => Some("Your account was enabled again"),
        EventKind::UserDeleted => Some("Your account was deleted"),
        EventKind::PasswordChanged => Some("The password was changed"),
        EventKind::RoleGranted => Some("You got a role"),
        EventKind::RoleRevoked => Some("You lost a role"),
        EventKind::SignInFailed => Some("Somebody gave a wrong password"),
        EventKind::SessionCreated => Some("You signed in"),
        EventKind::SessionEnded => Some("A device was signed out"),
        EventKind::Reauthenticated => Some("You gave your password again"),
        EventKind::Reused => Some("An old token was used: somebody else may have had a copy"),
        EventKind::GrantIssued => Some("{app} signed you in"),
        EventKind::CodeReused => Some("A sign-in of {app} was used twice, so it was ended"),
        EventKind::ConsentGiven => Some("You gave {app} access"),
        EventKind::ConsentWithdrawn => Some("{app} lost its access"),
        EventKind::ClientRemoved => Some("{app} was removed"),
        EventKind::DeviceAllowed => Some("You connected a device for {app}"),
        EventKind::DeviceDenied => Some("You refused a device that asked for {app}"),
        EventKind::Rotated
        | EventKind::Replayed
        | EventKind::Healed
        | EventKind::GrantEnded
        | EventKind::Raised
        | EventKind::ClientAdded
        | EventKind::ClientChanged
        | EventKind::ClientSecretRotated
        | EventKind::DeviceCodeWrong
        | EventKind::ResourceAdded
        | EventKind::ResourceChanged
        | EventKind::ResourceRemoved
        | EventKind::LogoutDelivered
        | EventKind::LogoutGaveUp
        | EventKind::KeyCreated
        | EventKind::KeyPublished
        | EventKind::KeyActivated
        | EventKind::KeyRetiring
        | EventKind::KeyRemoved
        | EventKind::KeyCompromised => None,
    },
    reason: |reason| match reason {
        Reason::ExpiredIdle => "it was not used for too long",
        Reason::ExpiredAbsolute => "its time was over",
        Reason::SignedOut => "you signed out there",
        Reason::SessionEnded => "the sign-in that it belonged to ended",
        Reason::RevokedByUser => "you ended it from another device",
        Reason::RevokedByAdmin => "an administrator ended it",
        Reason::Reused => "an old token was used, so two had a copy",
        Reason::RiskHigh => "it did not look like you",
        Reason::PasswordChanged => "the password was changed",
        Reason::UserDisabled => "the account was disabled",
        Reason::UserDeleted => "the account was deleted",
        Reason::ClientRemoved => "the application was removed",
        Reason::ConsentRevoked => "you took the access away",
        Reason::EpochRaised => "everything of yours was ended",
        Reason::SessionLimit => "you had too many devices, and this one was the least used",
        Reason::Replaced => "a new sign-in on the same device took its place",
        Reason::StoreRecovered => "the server lost its newest writes",
        Reason::KeyCompromised => "a key of the server was no longer safe",
        Reason::GenerationExhausted => "it was renewed as often as can be",
    },
    weakness: |weakness| match weakness {
        Weakness::TooShort(least) => format!("Use at least {least} characters."),
        Weakness::TooLong => format!("Use at most {LONGEST} characters."),
        Weakness::Common => "This is one of the passwords that are tried first. Choose another one.".to_owned(),
        Weakness::Identifier => "This is the name that you sign in with. Choose another one.".to_owned(),
    },
};

pub(super) const GERMAN: AccountWords = AccountWords {
    title: "Ihr Konto",
    devices: "Ihre Geräte",
    devices_what: "Hier sind Sie angemeldet. Wenn Sie eines davon nicht kennen, melden Sie es ab und ändern Sie Ihr Passwort.",
    this_device: "Dieses Gerät",
    unknown_device: "Unbekanntes Gerät",
    on: "auf",
    from: "aus {network}",
    signed_in_at: "angemeldet am {at}",
    last_used: "zuletzt benutzt {ago}",
    this_hour: "in der letzten Stunde",
    an_hour_ago: "vor einer Stunde",
    hours_ago: "vor {n} Stunden",
    a_day_ago: "vor einem Tag",
    days_ago: "vor {n} Tagen",
    history: "Verlauf",
    end: "Abmelden",
    end_others: "Alle anderen Geräte abmelden",
    applications: "Anwendungen mit Zugriff",
    applications_what: "Sie lassen diese Anwendungen in Ihrem Namen etwas sehen oder tun.",
    no_applications: "Keine Anwendung hat Zugriff auf Ihr Konto.",
    since: "seit {at}",
    while_away: "auch während Sie nicht da sind",
    withdraw: "Zugriff entziehen",
    password: "Passwort",
    password_what: "Wenn jemand anderes Ihr Passwort kennen könnte, ändern Sie es. Alle anderen Geräte werden dabei abgemeldet.",
    change_password: "Passwort ändern",
    current_password: "Jetziges Passwort",
    new_password: "Neues Passwort",
    password_rules: "Mindestens {n} Zeichen. Mehrere Wörter, die nicht zusammengehören, sind leicht zu merken.",
    password_ends: "Alle anderen Geräte werden dabei abgemeldet, und Anwendungen müssen Sie neu anmelden.",
    password_wrong: "Das ist nicht Ihr jetziges Passwort. Prüfen Sie es und versuchen Sie es noch einmal.",
    activity: "Was zuletzt geschah",
    no_activity: "In letzter Zeit ist nichts geschehen.",
    times: "Alle Zeiten sind in UTC. Wann ein Gerät benutzt wurde, steht hier auf die Stunde genau.",
    end_question: "{device} abmelden?",
    end_what: "Das Gerät ist {from} angemeldet und muss sich dann neu anmelden.",
    end_others_question: "Alle anderen Geräte abmelden?",
    end_others_what: "Jedes Gerät außer diesem muss sich neu anmelden. Anwendungen, die handeln dürfen, während Sie nicht da sind, behalten \
                      ihren Zugriff.",
    withdraw_question: "{app} den Zugriff entziehen?",
    withdraw_what: "{app} kann in Ihrem Namen nichts mehr sehen und nichts mehr tun, bis Sie es wieder erlauben.",
    keep: "Nichts ändern",
    back: "Zurück zu Ihrem Konto",
    history_of: "Verlauf von {device}",
    history_what: "Jede Perle ist eine Erneuerung dieser Anmeldung. Ein Token zeigt das Gerät vor, um angemeldet zu bleiben: Es wird \
                   einmal benutzt und dann ersetzt.",
    done_ended: "Das Gerät ist abgemeldet.",
    done_ended_others: "Alle anderen Geräte sind abgemeldet.",
    done_withdrawn: "Die Anwendung hat keinen Zugriff mehr.",
    done_password: "Ihr Passwort ist geändert. Alle anderen Geräte sind abgemeldet.",
    done_gone: "Das war schon vorbei.",
    date: "{day}. {month} {year}, {time}",
    months: [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
    event: |kind| match kind {
        EventKind::UserCreated => Some("Ihr Konto wurde angelegt"),
        EventKind::UserDisabled => Some("Ihr Konto wurde gesperrt"),
        EventKind::UserEnabled => Some("Ihr Konto wurde wieder freigegeben"),
        EventKind::UserDeleted => Some("Ihr Konto wurde gelöscht"),
        EventKind::PasswordChanged => Some("Das Passwort wurde geändert"),
        EventKind::RoleGranted => Some("Sie haben eine Rolle bekommen"),
        EventKind::RoleRevoked => Some("Sie haben eine Rolle verloren"),
        EventKind::SignInFailed => Some("Jemand hat ein falsches Passwort eingegeben"),
        EventKind::SessionCreated => Some("Sie haben sich angemeldet"),
        EventKind::SessionEnded => Some("Ein Gerät wurde abgemeldet"),
        EventKind::Reauthenticated => Some("Sie haben Ihr Passwort noch einmal eingegeben"),
        EventKind::Reused => Some("Ein altes Token wurde benutzt: Jemand anderes könnte eine Kopie gehabt haben"),
        EventKind::GrantIssued => Some("{app} hat Sie angemeldet"),
        EventKind::CodeReused => Some("Eine Anmeldung bei {app} wurde zweimal benutzt und deshalb beendet"),
        EventKind::ConsentGiven => Some("Sie haben {app} Zugriff gegeben"),
        EventKind::ConsentWithdrawn => Some("{app} hat den Zugriff verloren"),
        EventKind::ClientRemoved => Some("{app} wurde entfernt"),
        EventKind::DeviceAllowed => Some("Sie haben ein Gerät für {app} verbunden"),
        EventKind::DeviceDenied => Some("Sie haben ein Gerät für {app} abgelehnt"),
        EventKind::Rotated
        | EventKind::Replayed
        | EventKind::Healed
        | EventKind::GrantEnded
        | EventKind::Raised
        | EventKind::ClientAdded
        | EventKind::ClientChanged
        | EventKind::ClientSecretRotated
        | EventKind::DeviceCodeWrong
        | EventKind::ResourceAdded
        | EventKind::ResourceChanged
        | EventKind::ResourceRemoved
        | EventKind::LogoutDelivered
        | EventKind::LogoutGaveUp
        | EventKind::KeyCreated
        | EventKind::KeyPublished
        | EventKind::KeyActivated
        | EventKind::KeyRetiring
        | EventKind::KeyRemoved
        | EventKind::KeyCompromised => None,
    },
    reason: |reason| match reason {
        Reason::ExpiredIdle => "es wurde zu lange nicht benutzt",
        Reason::ExpiredAbsolute => "die Zeit war um",
        Reason::SignedOut => "Sie haben sich dort abgemeldet",
        Reason::SessionEnded => "die zugehörige Anmeldung ist zu Ende",
        Reason::RevokedByUser => "Sie haben es von einem anderen Gerät aus beendet",
        Reason::RevokedByAdmin => "die Verwaltung hat es beendet",
        Reason::Reused => "ein altes Token wurde benutzt, also hatten zwei eine Kopie",
        Reason::RiskHigh => "es sah nicht nach Ihnen aus",
        Reason::PasswordChanged => "das Passwort wurde geändert",
        Reason::UserDisabled => "das Konto wurde gesperrt",
        Reason::UserDeleted => "das Konto wurde gelöscht",
        Reason::ClientRemoved => "die Anwendung wurde entfernt",
        Reason::ConsentRevoked => "Sie haben den Zugriff entzogen",
        Reason::EpochRaised => "alles, was Ihnen gehört, wurde beendet",
        Reason::SessionLimit => "Sie hatten zu viele Geräte, und dieses war am wenigsten benutzt",
        Reason::Replaced => "eine neue Anmeldung am selben Gerät trat an seine Stelle",
        Reason::StoreRecovered => "der Server hat seine letzten Einträge verloren",
        Reason::KeyCompromised => "ein Schlüssel des Servers war nicht mehr sicher",
        Reason::GenerationExhausted => "es wurde so oft erneuert, wie es geht",
    },
    weakness: |weakness| match weakness {
        Weakness::TooShort(least) => format!("Nehmen Sie mindestens {least} Zeichen."),
        Weakness::TooLong => format!("Nehmen Sie höchstens {LONGEST} Zeichen."),
        Weakness::Common => {
            "Das ist eines der Passwörter, die zuerst probiert werden. Wählen Sie ein anderes.".to_owned()
        }
        Weakness::Identifier => "Das ist der Name, mit dem Sie sich anmelden. Wählen Sie ein anderes.".to_owned(),
    },
};
