package redshift

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/upwelldata/upwell/internal/connector/pgwire"
	"github.com/upwelldata/upwell/internal/row"
)

const benchRows = 200_000

// wide is a model of eleven columns: a key, texts, numbers, a decimal, a boolean and a time.
var wide = []pgconn.FieldDescription{
	{Name: "id", DataTypeOID: 20},
	{Name: "email", DataTypeOID: 1043},
	{Name: "name", DataTypeOID: 1043},
	{Name: "seats", DataTypeOID: 23},
	{Name: "health_score", DataTypeOID: 701},
	{Name: "mrr", DataTypeOID: 1700, TypeModifier: 12<<16 + 2 + 4},
	{Name: "is_active", DataTypeOID: 16},
	{Name: "last_seen", DataTypeOID: 1184},
	{Name: "plan", DataTypeOID: 1043},
	{Name: "country", DataTypeOID: 1042},
	{Name: "tickets_30d", DataTypeOID: 23},
}

// Benchmark_reading reads what a cluster sends, written down before, into fingerprints: all of the program's own work, on one processor.
func Benchmark_reading(b *testing.B) {
	var fields []pgproto3.FieldDescription
	for _, f := range wide {
		fields = append(fields, pgproto3.FieldDescription{Name: []byte(f.Name), DataTypeOID: f.DataTypeOID, TypeModifier: f.TypeModifier})
	}
	says := said(b, &pgproto3.RowDescription{Fields: fields})
	for i := range benchRows {
		var values [][]byte
		for _, v := range []string{
			fmt.Sprint(i), fmt.Sprintf("user%d@a1b2c3d4.example.com", i), fmt.Sprintf("Someone %x Surname", i*2654435761), fmt.Sprint(i % 512),
			fmt.Sprintf("%.17g", float64(i*7%1048576)/10485.75), fmt.Sprintf("%d.%02d", i%100000, i%100), "t",
			fmt.Sprintf("2026-%02d-%02d %02d:%02d:%02d+00", i%12+1, i%28+1, i%24, i%60, i*7%60), "business", "US", fmt.Sprint(i % 32),
		} {
			values = append(values, []byte(v))
		}
		says = append(says, said(b, &pgproto3.DataRow{Values: values})...)
	}
	says = append(says, said(b, done("SELECT"), ready)...)
	acc := make([]uint64, pgwire.BatchRows)
	for b.Loop() {
		shape, err := plan(wide)
		if err != nil {
			b.Fatal(err)
		}
		h, rows := row.NewHasher(1), int64(0)
		conn := record{says: bytes.NewReader(says)}
		r := &reading{prepared: &prepared{result: shape}, hc: &pgconn.HijackedConn{Conn: conn}, wire: pgwire.NewReader(conn), yield: func(batch arrow.RecordBatch, _ error) bool {
			rows += batch.NumRows()
			acc := acc[:batch.NumRows()]
			h.Begin(acc)
			for i, f := range batch.Schema().Fields() {
				k, err := row.KindOf(f)
				if err != nil {
					b.Fatal(err)
				}
				h.Column(batch.Column(i), k, row.Null, acc)
			}
			return true
		}}
		if err := whole(r); err != nil || rows != benchRows {
			b.Fatal(rows, err)
		}
	}
	b.ReportMetric(benchRows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
