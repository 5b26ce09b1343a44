//! What went wrong, in words: what, why, and the way out. A name in English is a parameter's, for whoever has to mend it.

/// The words of the error page.
pub(crate) struct ErrorWords {
    pub(crate) client: &'static str,
    pub(crate) client_grant: &'static str,
    pub(crate) redirect_uri: &'static str,
    pub(crate) repeated: &'static str,
    pub(crate) encoding: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) body: &'static str,
    pub(crate) too_long: &'static str,
    pub(crate) over: &'static str,
    pub(crate) cross_origin: &'static str,
    pub(crate) logout_uri: &'static str,
    pub(crate) logout_client: &'static str,
    pub(crate) insecure: &'static str,
    pub(crate) broken: &'static str,
    pub(crate) other: &'static str,
    pub(crate) number: &'static str,
    pub(crate) to_account: &'static str,
    pub(crate) none: &'static str,
    pub(crate) none_what: &'static str,
}

pub(super) const ENGLISH: ErrorWords = ErrorWords {
    client: "The application that sent you here is not known: client_id is missing or wrong. Go back to it and tell whoever runs it.",
    client_grant: "The application that sent you here cannot sign people in (client_id). Go back to it and tell whoever runs it.",
    redirect_uri: "The application that sent you here did not say an address of its own to go back to: redirect_uri is missing or not \
                   registered. Go back to it and tell whoever runs it.",
    repeated: "The request cannot be read: the parameter {name} came twice. Go back to the application and begin anew.",
    encoding: "The request cannot be read: the parameters are not form-urlencoded UTF-8. Go back to the application and begin anew.",
    media_type: "The request cannot be read: the body must be application/x-www-form-urlencoded.",
    body: "The request cannot be read: the body could not be read to its end, or is too large. Try again.",
    too_long: "The request is too long. Go back to the application and begin anew.",
    over: "This took too long, or the address is not whole. Go back to the application and begin anew.",
    cross_origin: "This form came from another site, so nothing was done.",
    logout_uri: "The application did not say an address of its own to go to: post_logout_redirect_uri is not registered for it, or it \
                 did not say who it is (id_token_hint, client_id).",
    logout_client: "client_id and id_token_hint name different applications.",
    insecure: "You came by http, and nobody can sign in safely so. Type the address anew, with https:// before it.",
    broken: "The server is not available for the moment. Try again in a few seconds.",
    other: "The request was refused ({code}).",
    number: "If you ask for help, say this number: {number}",
    to_account: "Go to your account",
    none: "Nothing went wrong here",
    none_what: "This is where errors are told, and there is none to tell. If you wanted to go to an application, go back to it and begin \
                anew.",
};

pub(super) const GERMAN: ErrorWords = ErrorWords {
    client: "Die Anwendung, von der Sie kommen, ist hier nicht bekannt: client_id fehlt oder ist falsch. Gehen Sie dorthin zurück und \
             sagen Sie es ihrem Betreiber.",
    client_grant: "Die Anwendung, von der Sie kommen, kann niemanden anmelden (client_id). Gehen Sie dorthin zurück und sagen Sie es \
                   ihrem Betreiber.",
    redirect_uri: "Die Anwendung, von der Sie kommen, hat keine eigene Adresse für den Rückweg genannt: redirect_uri fehlt oder ist \
                   nicht eingetragen. Gehen Sie dorthin zurück und sagen Sie es ihrem Betreiber.",
    repeated: "Die Anfrage ist nicht lesbar: Der Parameter {name} kam zweimal. Gehen Sie zur Anwendung zurück und beginnen Sie neu.",
    encoding: "Die Anfrage ist nicht lesbar: Die Parameter sind kein UTF-8 in der Kodierung von Formularen. Gehen Sie zur Anwendung \
               zurück und beginnen Sie neu.",
    media_type: "Die Anfrage ist nicht lesbar: Sie muss application/x-www-form-urlencoded sein.",
    body: "Die Anfrage ist nicht lesbar: Sie kam nicht ganz an oder ist zu groß. Versuchen Sie es noch einmal.",
    too_long: "Die Anfrage ist zu lang. Gehen Sie zur Anwendung zurück und beginnen Sie neu.",
    over: "Das hat zu lange gedauert, oder die Adresse ist nicht vollständig. Gehen Sie zur Anwendung zurück und beginnen Sie neu.",
    cross_origin: "Dieses Formular kam von einer anderen Website. Es wurde nichts getan.",
    logout_uri: "Die Anwendung hat keine eigene Adresse für danach genannt: post_logout_redirect_uri ist für sie nicht eingetragen, oder \
                 sie hat nicht gesagt, wer sie ist (id_token_hint, client_id).",
    logout_client: "client_id und id_token_hint nennen verschiedene Anwendungen.",
    insecure: "Sie kommen über http, und so kann sich niemand sicher anmelden. Geben Sie die Adresse neu ein, mit https:// davor.",
    broken: "Der Server ist im Augenblick nicht erreichbar. Versuchen Sie es in ein paar Sekunden noch einmal.",
    other: "Die Anfrage wurde abgelehnt ({code}).",
    number: "Wenn Sie um Hilfe bitten, nennen Sie diese Nummer: {number}",
    to_account: "Zu Ihrem Konto",
    none: "Hier ist nichts schiefgegangen",
    none_what: "An dieser Stelle werden Fehler gemeldet, und es gibt keinen. Wenn Sie zu einer Anwendung wollten, gehen Sie dorthin zurück \
                und beginnen Sie neu.",
};
