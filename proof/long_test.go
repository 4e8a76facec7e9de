//go:build long

package proof_test

// long: proofs run in the form of `make test-long`.
const long = true
