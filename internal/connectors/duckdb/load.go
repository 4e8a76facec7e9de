package duckdb

import (
	"iter"
	"strconv"
	"strings"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/row"
)

// loadBytes is how much text the appender gathers before the rows go into the table.
const loadBytes = 8 << 20

// load puts rows into a table of the ledger through an appender that feeds an INSERT with texts, so that DuckDB itself casts them to
// the types of the columns. https://duckdb.org/docs/stable/data/appender, .../clients/c/appender (duckdb_appender_create_query)
func (c *conn) load(into connector.Into, rows iter.Seq2[[]row.Value, error]) error {
	a, err := c.appender(into)
	if err != nil {
		return err
	}
	defer a.close()
	for vals, err := range rows {
		if err != nil {
			return err
		}
		if err := a.add(vals); err != nil {
			return err
		}
	}
	return a.flush()
}

// appender gathers rows in a chunk, chunks in DuckDB, and both in the table.
type appender struct {
	raw     bindings.Appender
	chunk   bindings.DataChunk
	vectors []bindings.Vector
	rows    bindings.IdxT // in the chunk
	bytes   int           // that wait to go into the table
	text    []byte
}

func (c *conn) appender(into connector.Into) (*appender, error) {
	types, names := make([]bindings.LogicalType, len(into.Columns)), make([]string, len(into.Columns))
	for i := range types {
		types[i], names[i] = bindings.CreateLogicalType(bindings.TypeVarchar), "c"+strconv.Itoa(i)
		defer bindings.DestroyLogicalType(&types[i])
	}
	a := &appender{}
	sql := "INSERT INTO " + into.Table + " (" + strings.Join(into.Columns, ", ") + ") SELECT * FROM upwell_rows"
	if bindings.AppenderCreateQuery(c.raw, sql, types, "upwell_rows", names, &a.raw) == bindings.StateError {
		defer a.close()
		return nil, refusal(bindings.AppenderError(a.raw))
	}
	a.chunk = bindings.CreateDataChunk(types)
	for i := range types {
		a.vectors = append(a.vectors, bindings.DataChunkGetVector(a.chunk, bindings.IdxT(i)))
	}
	return a, nil
}

// close frees the appender. What was not flushed is thrown away.
func (a *appender) close() {
	bindings.AppenderClear(a.raw)
	bindings.AppenderDestroy(&a.raw)
	if a.chunk.Ptr != nil {
		bindings.DestroyDataChunk(&a.chunk)
	}
}

func (a *appender) add(vals []row.Value) error {
	for i, v := range vals {
		if v.IsNull() || v.IsAbsent() {
			bindings.VectorEnsureValidityWritable(a.vectors[i])
			bindings.ValiditySetRowInvalid(bindings.VectorGetValidity(a.vectors[i]), a.rows)
			continue
		}
		a.text = v.AppendText(a.text[:0])
		bindings.VectorAssignStringElementLen(a.vectors[i], a.rows, a.text)
		a.bytes += len(a.text)
	}
	if a.rows++; a.rows < bindings.VectorSize() && a.bytes < loadBytes {
		return nil
	}
	if err := a.append(); err != nil || a.bytes < loadBytes {
		return err
	}
	return a.flush()
}

// append hands the chunk to DuckDB.
func (a *appender) append() error {
	bindings.DataChunkSetSize(a.chunk, a.rows)
	if bindings.AppendDataChunk(a.raw, a.chunk) == bindings.StateError {
		return refusal(bindings.AppenderError(a.raw))
	}
	bindings.DataChunkReset(a.chunk)
	a.rows = 0
	return nil
}

// flush puts all rows into the table.
func (a *appender) flush() error {
	if a.rows > 0 {
		if err := a.append(); err != nil {
			return err
		}
	}
	a.bytes = 0
	if bindings.AppenderFlush(a.raw) == bindings.StateError {
		return refusal(bindings.AppenderError(a.raw))
	}
	return nil
}
