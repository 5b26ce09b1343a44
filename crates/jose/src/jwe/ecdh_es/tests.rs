use super::*;

fn private(curve: &'static agreement::Algorithm, d: &str) -> PrivateKey {
    PrivateKey::from_private_key(curve, &base64url::decode(d).unwrap()).unwrap()
}

fn header(json: &Value) -> Map<String, Value> {
    json.as_object().unwrap().clone()
}

/// RFC 7518, Appendix C, from Bob's side and from Alice's.
#[test]
fn rfc_7518_appendix_c() {
    let alice = json!({
        "kty": "EC", "crv": "P-256",
        "x": "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0", "y": "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"
    });
    let bob = json!({
        "kty": "EC", "crv": "P-256",
        "x": "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ", "y": "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"
    });
    for (d, epk) in
        [("VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw", alice), ("0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo", bob)]
    {
        let header = header(&json!({ "epk": epk, "apu": "QWxpY2U", "apv": "Qm9i" }));
        let agreement = Agreement::parse(&header).unwrap();
        let private = private(&ECDH_P256, d);
        let key = agreement.receive(&private, KeyManagement::EcdhEs, ContentEncryption::A128Gcm).unwrap();
        assert_eq!(base64url::encode(&key), "VqqN6vgjbSBcIijNcacQGg");
    }
}

/// RFC 8037, Appendix A.6: the agreement on X25519.
#[test]
fn rfc_8037_a6() {
    let bob = PublicKey::parse(&header(
        &json!({ "kty": "OKP", "crv": "X25519", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08" }),
    ))
    .unwrap();
    let ephemeral = private(&X25519, "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo");
    assert_eq!(base64url::encode(&agree(&ephemeral, &bob).unwrap()), "Sl2dW6TOLeFyjjv0gDUPJeB-IclH0Z4zdvCbPB4WF0I");
}

/// RFC 8725 §3.4: off the curve, of another curve, of small order, and half a key.
#[test]
fn only_points_of_the_recipients_curve_are_agreed_with() {
    let recipient = private(&ECDH_P256, "VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw");
    let (x, y) = ("gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0", "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps");
    let zeros = base64url::encode(&[0; 32]);
    let receive = |private: &PrivateKey, epk: Value| {
        let agreement = Agreement::parse(&header(&json!({ "epk": epk })))?;
        Ok::<_, Error>(agreement.receive(private, KeyManagement::EcdhEs, ContentEncryption::A256Gcm).is_some())
    };
    assert_eq!(receive(&recipient, json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })), Ok(true));
    // Off the curve, and the point at infinity.
    assert_eq!(receive(&recipient, json!({ "kty": "EC", "crv": "P-256", "x": y, "y": x })), Ok(false));
    assert_eq!(receive(&recipient, json!({ "kty": "EC", "crv": "P-256", "x": zeros, "y": zeros })), Ok(false));
    // Another curve.
    assert_eq!(receive(&recipient, json!({ "kty": "OKP", "crv": "X25519", "x": x })), Ok(false));
    // No public keys.
    for epk in [
        json!("P-256"),
        json!({}),
        json!({ "kty": "EC", "crv": "P-256", "x": x }),
        json!({ "kty": "OKP", "crv": "P-256", "x": x, "y": y }),
        json!({ "kty": "EC", "crv": "X25519", "x": x, "y": y }),
        json!({ "kty": "EC", "crv": "secp256k1", "x": x, "y": y }),
        json!({ "kty": "EC", "crv": "P-384", "x": x, "y": y }),
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "d": x }),
        json!({ "kty": "EC", "crv": "P-256", "x": format!("{x}="), "y": y }),
    ] {
        assert_eq!(receive(&recipient, epk.clone()), Err(Error::HeaderInvalid), "{epk}");
    }

    // RFC 7748 §6.1: these give zeros with every private key.
    let recipient = PrivateKey::generate(&X25519).unwrap();
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [255; 32];
    (minus_one[0], minus_one[31]) = (236, 127);
    for small in [[0; 32], one, minus_one] {
        let epk = json!({ "kty": "OKP", "crv": "X25519", "x": base64url::encode(&small) });
        assert_eq!(receive(&recipient, epk), Ok(false));
    }
}

#[test]
fn the_parties_names_are_measured_before_they_are_read() {
    let epk = json!({ "kty": "OKP", "crv": "X25519", "x": base64url::encode(&[9; 32]) });
    let parse = |apu: Value| Agreement::parse(&header(&json!({ "epk": epk, "apu": apu }))).map(|_| ());
    assert_eq!(parse(json!(base64url::encode(&[0; 512]))), Ok(()));
    assert_eq!(parse(json!(base64url::encode(&[0; 513]))), Err(Error::HeaderInvalid));
    assert_eq!(parse(json!("no!")), Err(Error::HeaderInvalid));
    assert_eq!(parse(json!(1)), Err(Error::HeaderInvalid));
}
