package bigquery

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
)

// Failures come one after the other here: nobody waits between tries. One stand-in lives for all tests, to refuse the wrong key.
func TestMain(m *testing.M) {
	pause = time.Millisecond
	s, err := bigquerytest.Start(context.Background(), "127.0.0.1:0", bigquerytest.Options{})
	if err == nil {
		wrongKey, err = s.WrongKey()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = s.Close()
	os.Exit(code)
}
