package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
)

// Locator is a program or a web service that knows where users are. Neither: there is none.
type Locator struct {
	Program string // absolute path
	URL     string // http or https
}

// String returns the setting as it is written: "exec:/usr/local/bin/locate".
func (l Locator) String() string {
	if l.Program != "" {
		return "exec:" + l.Program
	}
	return l.URL
}

// locatorForms is what messages about Locator end with.
const locatorForms = "write exec:/usr/local/bin/locate, or http://127.0.0.1:8080/locate"

// locator reads exec:PATH or a URL.
func locator(b *builder, v Value) (err error) {
	text, err := single(v)
	if err == nil {
		b.Locator, err = ParseLocator(text)
	}
	return err
}

// ParseLocator reads what the setting Locator says: who is asked, or off.
func ParseLocator(text string) (l Locator, err error) {
	if strings.EqualFold(text, "off") {
		return l, nil
	}
	if path, ok := strings.CutPrefix(text, "exec:"); ok {
		if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
			return l, fmt.Errorf("got %q, which is not an absolute path; %s", text, locatorForms)
		}
		return Locator{Program: filepath.Clean(path)}, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return l, fmt.Errorf("got %q, which cannot be read; %s", MaskURL(text), locatorForms)
	case u.User != nil:
		return l, errors.New("the URL has a password, which everybody who may see the settings would see; let the service know us by our address")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "":
		return l, fmt.Errorf("got %q; %s", text, locatorForms)
	}
	return Locator{URL: text}, nil
}

// maxEnumRoot is how long the name of a tree may be: 15 digits and their dots stand before it in a name of 253.
const maxEnumRoot = 253 - 2*15

// enumRoot reads the domain below which numbers are, or off.
func enumRoot(b *builder, v Value) error {
	name, err := host(v)
	if name == "off" {
		b.EnumRoot = ""
		return nil
	}
	if _, no := netip.ParseAddr(name); err != nil || no == nil || len(name) > maxEnumRoot {
		return fmt.Errorf("got %q; write a domain name: e164.arpa", strings.Join(v.Args, " "))
	}
	b.EnumRoot = name
	return nil
}
