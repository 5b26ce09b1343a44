// Debian's go-oidc and x/oauth2, unmodified, over TLS. The person at the browser is played here: redirects and forms, without script.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/coreos/go-oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const callback = "http://127.0.0.1:9/cb"

var (
	issuer  = os.Getenv("ISSUER")
	action  = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	request = regexp.MustCompile(`name="request" value="([^"]*)"`)
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func want(isSo bool, what string) {
	if !isSo {
		must(errors.New("this is not so: " + what))
	}
}

func did(flows ...string) {
	for _, flow := range flows {
		fmt.Println("did: " + flow)
	}
}

func secret() string {
	bytes := make([]byte, 32)
	_, err := rand.Read(bytes)
	must(err)
	return base64.RawURLEncoding.EncodeToString(bytes)
}

// Goes where it is sent and fills forms in, until it leads to the application: there.
func walk(address string) url.Values {
	jar, err := cookiejar.New(nil)
	must(err)
	browser := http.Client{Jar: jar, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(next.URL.String(), issuer) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	answer, err := browser.Get(address)
	must(err)
	for steps := 0; steps < 4; steps++ {
		if target, err := answer.Location(); err == nil {
			return target.Query()
		}
		body, err := io.ReadAll(answer.Body)
		must(err)
		page := string(body)
		to, waiting := action.FindStringSubmatch(page), request.FindStringSubmatch(page)
		want(to != nil && waiting != nil, "a page with a form: "+page)
		fields := url.Values{"request": {waiting[1]}, "decision": {"allow"}}
		if to[1] == "/login" {
			fields.Set("identifier", os.Getenv("EMAIL"))
			fields.Set("password", os.Getenv("PASSWORD"))
		}
		form, err := http.NewRequest("POST", issuer+to[1], strings.NewReader(fields.Encode()))
		must(err)
		form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		form.Header.Set("Origin", issuer)
		answer, err = browser.Do(form)
		must(err)
	}
	want(false, "it goes round in circles")
	return nil
}

func main() {
	ctx := context.Background()
	provider, err := oidc.NewProvider(ctx, issuer)
	must(err)
	did("discovery")

	// One client a process, as programs have: the library finds out by itself how this one authenticates, and remembers.
	client, secretOf := os.Args[1], map[string]string{"web": os.Getenv("WEB_SECRET")}
	config := oauth2.Config{
		ClientID: client, ClientSecret: secretOf[client], RedirectURL: callback,
		Endpoint: provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
	}
	state, nonce, verifier := secret(), secret(), secret()
	challenge := sha256.Sum256([]byte(verifier))
	landed := walk(config.AuthCodeURL(state, oidc.Nonce(nonce),
		oauth2.SetAuthURLParam("code_challenge", base64.RawURLEncoding.EncodeToString(challenge[:])),
		oauth2.SetAuthURLParam("code_challenge_method", "S256")))
	want(landed.Get("state") == state && landed.Get("iss") == issuer, "the answer is to this request")
	token, err := config.Exchange(ctx, landed.Get("code"), oauth2.SetAuthURLParam("code_verifier", verifier))
	must(err)
	did("code")

	raw, isThere := token.Extra("id_token").(string)
	want(isThere, "there is an ID token")
	idToken, err := provider.Verifier(&oidc.Config{ClientID: client}).Verify(ctx, raw)
	must(err)
	want(idToken.Nonce == nonce, "the nonce is this request's")
	must(idToken.VerifyAccessToken(token.AccessToken))
	did("id_token")

	user, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	must(err)
	want(user.Subject == idToken.Subject && user.Email == os.Getenv("EMAIL"), "userinfo tells of the same user")
	did("userinfo")

	// It renews by itself once it believes that the access token is over.
	before := token.RefreshToken
	token.Expiry = time.Now().Add(-time.Minute)
	renewed, err := config.TokenSource(ctx, token).Token()
	must(err)
	want(renewed.RefreshToken != before && renewed.AccessToken != token.AccessToken, "both tokens are new")
	_, err = provider.UserInfo(ctx, oauth2.StaticTokenSource(renewed))
	must(err)
	did("refresh")

	job := clientcredentials.Config{
		ClientID: "job", ClientSecret: os.Getenv("JOB_SECRET"), TokenURL: provider.Endpoint().TokenURL,
		Scopes: []string{"stock:read"},
	}
	granted, err := job.Token(ctx)
	must(err)
	want(granted.Extra("scope") == "stock:read", "the scope is what was asked for")
	did("client_credentials")
}
