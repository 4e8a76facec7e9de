package snowflake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/connectors/snowflake/snowflaketest"
)

// The files in testdata were written by OpenSSL 3.0: openssl pkcs8 -topk8 with -v2 aes256, -v2 des3 and -v2 aes128 -v2prf
// hmacWithSHA1, of one key made for this test, with the passphrase "correct horse".
func Test_a_key_encrypted_by_OpenSSL_is_read(t *testing.T) {
	files, err := filepath.Glob("testdata/*.p8")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	plain, err := os.ReadFile("testdata/plain.pem")
	if err != nil {
		t.Fatal(err)
	}
	want, err := parseKey(plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseKey(text, []byte("correct horse")); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v", f, err)
		}
		if _, err := parseKey(text, []byte("wrong horse")); err == nil || !strings.Contains(err.Error(), "the passphrase does not open it") {
			t.Errorf("%s with a wrong passphrase: %v", f, err)
		}
		if _, err := parseKey(text, nil); err == nil || !strings.Contains(err.Error(), "private_key_passphrase") {
			t.Errorf("%s without one: %v", f, err)
		}
	}
}

func Test_a_key_is_read_in_the_forms_people_have_it_in(t *testing.T) {
	text := snowflaketest.PrivateKey()
	block, _ := pem.Decode([]byte(text))
	key, err := parseKey([]byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, form := range map[string]string{
		"base64 alone":        base64.StdEncoding.EncodeToString(block.Bytes),
		"base64 in lines":     strings.ReplaceAll(strings.ReplaceAll(text, "-----BEGIN PRIVATE KEY-----", ""), "-----END PRIVATE KEY-----", ""),
		"PKCS#1":              string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		"with Windows' lines": strings.ReplaceAll(text, "\n", "\r\n"),
	} {
		if got, err := parseKey([]byte(form), nil); err != nil || !got.Equal(key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for want, k := range map[string]any{"it has 1024 bits": small, "Snowflake takes RSA": curve} {
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
}

func Fuzz_no_key_breaks_the_reader(f *testing.F) {
	f.Add([]byte(snowflaketest.PrivateKey()), []byte(""))
	f.Add([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----"), []byte("x"))
	f.Fuzz(func(_ *testing.T, text, passphrase []byte) {
		_, _ = parseKey(text, passphrase)
	})
}
