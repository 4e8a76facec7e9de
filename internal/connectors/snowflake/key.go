package snowflake

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // what OpenSSL writes with -v2 des3, as Snowflake's guide says; only for reading a key
	"crypto/pbkdf2"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // PBKDF2's default in PKCS#5; only for reading a key
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
)

// parseKey reads an RSA private key: PEM, or the base64 between its lines alone. No error repeats any of it.
func parseKey(text, passphrase []byte) (*rsa.PrivateKey, error) {
	der, encrypted := []byte(nil), false
	if block, _ := pem.Decode(text); block != nil {
		der, encrypted = block.Bytes, block.Type == "ENCRYPTED PRIVATE KEY"
		if block.Headers["DEK-Info"] != "" {
			return nil, errors.New("it is encrypted in the old format of OpenSSL; convert it with openssl pkcs8 -topk8")
		}
	} else {
		var err error
		if der, err = base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(text), nil))); err != nil || len(der) == 0 {
			return nil, errors.New("it is not a PEM text")
		}
		encrypted = len(passphrase) > 0
	}
	if encrypted {
		if len(passphrase) == 0 {
			return nil, errors.New("it is encrypted and `private_key_passphrase` is not set")
		}
		var err error
		if der, err = decrypt(der, passphrase); err != nil {
			return nil, err
		}
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if one, err := x509.ParsePKCS1PrivateKey(der); err == nil {
			key = one
		} else if encrypted {
			return nil, errors.New("the passphrase does not open it")
		} else {
			return nil, errors.New("it is no private key of PKCS#8 or PKCS#1")
		}
	}
	r, ok := key.(*rsa.PrivateKey)
	switch {
	case !ok:
		return nil, fmt.Errorf("it is a key of type %T; Snowflake takes RSA", key)
	case r.N.BitLen() < 2048:
		return nil, fmt.Errorf("it has %d bits; Snowflake takes 2048 and more", r.N.BitLen())
	}
	return r, nil
}

// What PKCS#5 version 2 puts around a key (RFC 8018, appendix A; RFC 5958).
type (
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2Params  struct{ Derive, Encrypt pkix.AlgorithmIdentifier }
	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}

	digests = map[string]func() hash.Hash{
		"":                    sha1.New,
		"1.2.840.113549.2.7":  sha1.New,
		"1.2.840.113549.2.9":  sha256.New,
		"1.2.840.113549.2.10": sha512.New384,
		"1.2.840.113549.2.11": sha512.New,
	}
	ciphers = map[string]struct {
		key int
		new func([]byte) (cipher.Block, error)
	}{
		"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
		"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
		"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
		"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
	}
)

// decrypt opens an encrypted PKCS#8 key.
func decrypt(der, passphrase []byte) ([]byte, error) {
	unknown := errors.New("it is encrypted in a way that is not supported; encrypt it with openssl pkcs8 -topk8 -v2 aes256")
	var k encryptedKey
	var p pbes2Params
	var d pbkdf2Params
	if _, err := asn1.Unmarshal(der, &k); err != nil || !k.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, unknown
	}
	if _, err := asn1.Unmarshal(k.Algorithm.Parameters.FullBytes, &p); err != nil || !p.Derive.Algorithm.Equal(oidPBKDF2) {
		return nil, unknown
	}
	if _, err := asn1.Unmarshal(p.Derive.Parameters.FullBytes, &d); err != nil {
		return nil, unknown
	}
	prf := ""
	if len(d.PRF.Algorithm) > 0 {
		prf = d.PRF.Algorithm.String()
	}
	digest, known := digests[prf]
	c, ok := ciphers[p.Encrypt.Algorithm.String()]
	if !known || !ok || d.Iterations < 1 || d.Iterations > 10_000_000 {
		return nil, unknown
	}
	var iv []byte
	if _, err := asn1.Unmarshal(p.Encrypt.Parameters.FullBytes, &iv); err != nil {
		return nil, unknown
	}
	key, err := pbkdf2.Key(digest, string(passphrase), d.Salt, d.Iterations, c.key)
	if err != nil {
		return nil, unknown
	}
	block, err := c.new(key)
	if err != nil || len(iv) != block.BlockSize() || len(k.Data) == 0 || len(k.Data)%block.BlockSize() != 0 {
		return nil, unknown
	}
	out := make([]byte, len(k.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, k.Data)
	pad := int(out[len(out)-1])
	if pad < 1 || pad > block.BlockSize() {
		return nil, errors.New("the passphrase does not open it")
	}
	return out[:len(out)-pad], nil
}
