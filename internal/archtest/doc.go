// Package archtest holds the tests of the repository as a whole: import rules, file sizes, generated pages, and that every
// invariant of docs/invariants.md is enforced in one place and tested in another. It has no code of its own.
package archtest
