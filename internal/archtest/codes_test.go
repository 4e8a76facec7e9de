package archtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/upwelldata/upwell/internal/fault"
)

//go:generate go test -run ^Test_the_page_of_fault_codes_is_current$ -count 1 . -args -update

func Test_the_page_of_fault_codes_is_current(t *testing.T) {
	page(t, "docs/codes.md", codesPage(fault.All()))
}

// Every code declared in the program is registered with a class, a meaning and a remedy.
func Test_every_fault_code_is_explained(t *testing.T) {
	declared := constants(t, "internal/fault", "Code")
	for _, text := range declared {
		code := fault.Code(text)
		info, ok := fault.Lookup(code)
		switch {
		case !ok:
			t.Errorf("%s is declared and not registered", code)
		case info.Class == "" || info.Doc == "" || info.Fix == "" || info.Exit == fault.ExitOK:
			t.Errorf("%s lacks its class, exit code, meaning or remedy: %+v", code, info)
		case !strings.HasSuffix(info.Doc, ".") || !strings.HasSuffix(strings.TrimRight(info.Fix, "`"), "."):
			t.Errorf("%s: meaning and remedy are sentences: %q, %q", code, info.Doc, info.Fix)
		}
	}
	if len(declared) != len(fault.All()) {
		t.Errorf("%d codes are declared, %d registered: two constants may share a text", len(declared), len(fault.All()))
	}
}

func codesPage(all []fault.Info) string {
	var b strings.Builder
	b.WriteString(`# Codes

<!-- Generated from internal/fault/codes.go by ` + "`make generate`" + `. Do not edit. -->

Every error the program reports has one of these codes, in text and in JSON (` + "`code`" + `). A refused row may instead carry the
tool's own code. The class says what the engine does about it; the exit code is what a command ends with when this is the worst
that happened.

| class | what the engine does |
|---|---|
| transient | tries again with backoff |
| throttled | waits as long as the tool asks; not an attempt |
| quota | pauses the destination until the quota resets |
| auth | refreshes the credential once, then stops the run |
| config | stops the run: project, mapping or the tool's set-up is wrong |
| row | refuses this row, goes on with the others |
| batch_refused | splits the batch until the row is found |
| held | sends nothing more until a person decides |
| environment | stops: a connection or the state folder cannot be used |
| source | stops before anything is sent |
| cancelled | settles what is in flight and ends |
| bug | stops and reports; never tries again |

| exit | meaning |
|---|---|
| 0 | done, every planned row delivered |
| 1 | failed at run time |
| 2 | the project or the call is wrong; nothing was attempted |
| 3 | finished, but some rows were rejected, invalid or unknown |
| 4 | held by a guard, a model test, a policy or a missing approval |
| 5 | environment: a connection or the state folder cannot be used |
| 10 | ` + "`plan --exit-code`" + `: there are changes |
| 130 | interrupted; resumable |

| code | class | exit | meaning | remedy |
|---|---|---|---|---|
`)
	for _, i := range all {
		fmt.Fprintf(&b, "| `%s` | %s | %d | %s | %s |\n", i.Code, i.Class, i.Exit, cell(i.Doc), cell(i.Fix))
	}
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
