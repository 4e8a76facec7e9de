// Command upwell keeps business tools in step with what a warehouse knows.
package main

import (
	"os"

	"github.com/upwelldata/upwell/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
