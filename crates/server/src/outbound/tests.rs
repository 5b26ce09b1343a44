use std::{
    io::{Read, Write},
    net::TcpListener,
};

use super::*;

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn outbound(reach: Reach) -> Outbound {
    Outbound::with(reach, connector(roots(Some(ONE.into()))).unwrap())
}

const ONE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/tls/tests/one.pem");

#[test]
fn only_public_addresses_are_asked() {
    let private = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "::8.8.8.8",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
    ];
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.0.1",
        "169.255.0.1",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.1",
        "192.167.0.1",
        "192.169.0.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2606:4700:4700::1111",
        "2a00:1450::1",
        "3ffe::1",
        "64:ff9b::8.8.8.8",
    ];
    for (addresses, expected) in [(&private[..], false), (&public[..], true)] {
        for text in addresses {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(address::is_public(address), expected, "{text}");
            assert_eq!(Reach::Public.allows(true, address), expected, "{text}");
            assert!(!Reach::Public.allows(false, address), "{text}");
            // In development, this machine besides; not what only looks like it.
            assert_eq!(Reach::Development.allows(true, address), expected || address.is_loopback(), "{text}");
            assert!(Reach::Typed.allows(true, address), "{text}");
        }
    }
}

/// What a name says counts for nothing; where it leads does. Nobody connects.
#[test]
fn a_name_that_leads_to_this_machine_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    // The last ones are addresses to some, and have no certificate.
    for host in
        ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "127.1", "2130706433", "0x7f.1"]
    {
        let asked = block_on(outbound(Reach::Public).post_form(&format!("https://{host}:{port}/"), String::new()));
        assert!(matches!(asked, Err(Error::NotPublic | Error::Url | Error::Connection(_))), "{host}: {asked:?}");
        let by_http = block_on(outbound(Reach::Public).post_form(&format!("http://{host}:{port}/"), String::new()));
        assert_eq!(by_http, Err(Error::Http));
    }
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let asked = block_on(outbound(Reach::Public).get(&format!("https://{host}:{port}/"), 10));
        assert_eq!(asked, Err(Error::NotPublic), "{host}");
    }
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "somebody connected");
    // In development http is this machine's and nobody else's.
    for elsewhere in ["http://192.0.2.1/", "http://10.0.0.1/", "http://169.254.169.254/", "http://8.8.8.8/"] {
        let asked = block_on(outbound(Reach::Development).post_form(elsewhere, String::new()));
        assert_eq!(asked, Err(Error::NotLoopback), "{elsewhere}");
    }
    for private in
        ["https://10.0.0.1/", "https://169.254.169.254/", "https://[fd00::1]/", "https://[::ffff:127.0.0.1]/"]
    {
        let asked = block_on(outbound(Reach::Development).post_form(private, String::new()));
        assert_eq!(asked, Err(Error::NotPublic), "{private}");
    }
}

/// Answers one request with these bytes, and gives what was asked.
fn serve(answer: &'static str) -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut bytes = [0; 1024];
        while !request.ends_with(b"a=b") {
            let length = socket.read(&mut bytes).unwrap();
            request.extend_from_slice(&bytes[..length]);
        }
        socket.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (port, served)
}

#[test]
fn a_form_is_posted_once_and_no_redirect_is_followed() {
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
        ("HTTP/1.0 204 No Content\r\n\r\n", 204),
        ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 302),
        // Of a body nothing is read: neither its end nor its size matters.
        ("HTTP/1.1 500 Oops\r\nContent-Length: 1000000000\r\n\r\n", 500),
    ] {
        let (port, served) = serve(answer);
        let url = format!("http://localhost:{port}/logout?x=1");
        assert_eq!(block_on(outbound(Reach::Development).post_form(&url, "a=b".to_owned())), Ok(status));
        let asked = served.join().unwrap().to_ascii_lowercase();
        assert!(asked.starts_with("post /logout?x=1 http/1.1\r\n"), "{asked}");
        for field in [
            &format!("host: localhost:{port}\r\n")[..],
            "content-type: application/x-www-form-urlencoded\r\n",
            "content-length: 3\r\n",
            "connection: close\r\n",
        ] {
            assert!(asked.contains(field), "{field} is not in {asked}");
        }
    }
}

#[test]
fn an_extra_authority_is_named_or_the_start_is_refused() {
    let with = |text: &str| {
        let config: Config = toml::from_str(text).unwrap();
        Outbound::of(&config)
    };
    assert_eq!(with("").unwrap().reach, Reach::Public);
    assert_eq!(with("[development]\nallow_loopback = true").unwrap().reach, Reach::Development);
    with(&format!("[development]\nextra_ca = \"{ONE}\"")).unwrap();
    for wrong in ["/does/not/exist".to_owned(), ONE.replace(".pem", ".key")] {
        let why = with(&format!("[development]\nextra_ca = \"{wrong}\"")).unwrap_err();
        assert!(why.contains("development.extra_ca") && why.contains(&wrong), "{why}");
    }
}
