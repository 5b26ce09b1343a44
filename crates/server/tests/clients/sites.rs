//! Two relying parties and the provider on three registrable domains, over TLS, in Chromium: one sign-in and one sign-out for both.
//! Ports of one host would prove nothing, since they are one site. A small proxy stands before the provider; in the second half it
//! makes the sign-in cookie Strict, and the second party's user is asked for the password again.

use std::process::Command;

use crate::{
    apache::free_port,
    authority::Authority,
    in_path, node_modules, output,
    support::{EMAIL, Home, PASSWORD},
};

#[test]
fn one_sign_in_serves_two_sites_and_one_sign_out_ends_both() {
    let scripts = node_modules();
    let mut home = Home::new();
    let names = "DNS:sign-in.net,DNS:shop-one.com,DNS:wiki-two.org,IP:127.9.1.2,IP:127.9.1.3";
    let authority = Authority::new(&home, names);
    for (name, value) in [
        ("REGRANT_SERVER__TRUSTED_PROXIES", "[\"127.0.0.1\"]"),
        // The parties listen on this machine.
        ("REGRANT_DEVELOPMENT__ALLOW_LOOPBACK", "true"),
        ("REGRANT_DEVELOPMENT__EXTRA_CA", &authority.authority),
    ] {
        home.set(name, value);
    }
    home.add_user(EMAIL, &[]);
    // Addresses where nobody else takes ports: these are still free when they are asked for.
    let [provider, shop, wiki] = [1, 2, 3].map(|last| free_port([127, 9, 1, last]));
    let add = |id: &str, origin: &str, receiver: &str| {
        let added = home.regrant(&[
            "--json",
            "client",
            "add",
            "--id",
            id,
            "--type",
            "confidential",
            "--first-party",
            "--redirect-uri",
            &format!("{origin}/cb"),
            "--post-logout-redirect-uri",
            &format!("{origin}/bye"),
            // The server knows nothing of the names that the browser is told.
            "--backchannel-logout-uri",
            &format!("https://{receiver}/backchannel"),
        ]);
        added.ok().json()["client_secret"].as_str().unwrap().to_owned()
    };
    let secrets = [
        add("shop", &format!("https://shop-one.com:{}", shop.port()), &shop.to_string()),
        add("wiki", &format!("https://wiki-two.org:{}", wiki.port()), &wiki.to_string()),
    ];
    let issuer = format!("https://sign-in.net:{}", provider.port());
    let server = home.serve_with(&["--issuer", &issuer]);
    let scratch = tempfile::tempdir().unwrap();
    let mut node = Command::new("node");
    node.arg(scripts.join("sites.mjs")).env("HOME", scratch.path()).env("TMPDIR", scratch.path());
    node.env("NODE_EXTRA_CA_CERTS", &authority.authority)
        .env("CERTIFICATE", &authority.certificate)
        .env("KEY", &authority.key)
        .env("CHROMIUM", in_path("chromium"))
        .env("ISSUER", &issuer)
        .env("EMAIL", EMAIL)
        .env("PASSWORD", PASSWORD)
        .env("SERVER", format!("http://{}", server.address))
        .env("PROVIDER", provider.to_string())
        .env("SHOP", shop.to_string())
        .env("WIKI", wiki.to_string())
        .env("SHOP_SECRET", &secrets[0])
        .env("WIKI_SECRET", &secrets[1]);
    let told = output(&mut node, "two parties and the provider on three sites");
    for told_of in ["one sign-in, one sign-out", "a Strict cookie asks again"] {
        assert!(told.contains(told_of), "{told}");
    }
}
