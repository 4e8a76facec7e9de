// Package quiet keeps Snowflake's driver from doing at the start of a program, and at its first login, what nobody asked for. The
// driver's own initialisation unpacks a shared library into a temporary folder and loads it, unless the environment says no; the
// first login probes the cloud's metadata address, unless the environment says no.
//
// It imports nothing but os, so it is initialised before the driver, which imports net/http: a program's packages are initialised
// in the order of their paths, each as soon as what it imports is (https://go.dev/ref/spec#Program_initialization). A test of the
// connector looks at the order. Programs built with the tag minicore_disabled do not contain the library at all.
package quiet

import "os"

// Silenced says that both switches are set.
var Silenced = os.Setenv("SF_DISABLE_MINICORE", "true") == nil &&
	os.Setenv("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true") == nil
