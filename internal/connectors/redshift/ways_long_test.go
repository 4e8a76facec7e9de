//go:build long

package redshift_test

import (
	"testing"

	"github.com/upwelldata/upwell/internal/connector/conformance"
)

func Test_the_source_keeps_the_contract_in_every_way_to_read(t *testing.T) {
	for way, settings := range ways {
		t.Run(way, func(t *testing.T) { conformance.Source(t, harness(settings...)) })
	}
}
