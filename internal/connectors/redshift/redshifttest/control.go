package redshifttest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Weather is what POST /_sandbox/faults takes: each field that is set makes one of the faults of faults.go.
type Weather struct {
	Pause       *bool  `json:"pause"`        // connections are refused
	Resize      *bool  `json:"resize"`       // nothing may be written
	CursorsFull *bool  `json:"cursors_full"` // every result is larger than the room for cursors
	Conflicts   int    `json:"conflicts"`    // so many transactions lose against another
	Trouble     string `json:"trouble"`      // cut | kill | expire | swallow, at a row of the next query that has so many
	AtRow       int    `json:"at_row"`
}

var troubles = map[string]Trouble{"cut": Cut, "kill": Kill, "expire": Expire, "swallow": Swallow}

func (f *Faults) turn(w Weather) error {
	what, known := troubles[w.Trouble]
	if w.Trouble != "" && !known {
		return fmt.Errorf("there is no trouble %q: want cut, kill, expire or swallow", w.Trouble)
	}
	for set, is := range map[*bool]func(bool){w.Pause: f.Pause, w.Resize: f.Resize, w.CursorsFull: f.CursorsFull} {
		if set != nil {
			is(*set)
		}
	}
	if w.Conflicts > 0 {
		f.Conflict(w.Conflicts)
	}
	if known {
		f.At(max(1, w.AtRow), what)
	}
	return nil
}

// Clear ends all faults.
func (f *Faults) Clear() {
	f.fmu.Lock()
	defer f.fmu.Unlock()
	f.trouble, f.atRow, f.conflicts, f.paused, f.resizing, f.cursorMB = 0, 0, 0, false, false, false
}

// Records gives a table's rows as JSON objects, columns by name.
func (s *Server) Records(ctx context.Context, table string) (rows []json.RawMessage, err error) {
	rows = []json.RawMessage{}
	err = s.inside(ctx, func(c *pgconn.PgConn) error {
		r := c.ExecParams(ctx, "SELECT row_to_json(x)::text FROM "+path(table)+" AS x", nil, nil, nil, nil)
		for r.NextRow() {
			rows = append(rows, bytes.Clone(r.Values()[0]))
		}
		_, err := r.Close()
		return err
	})
	return rows, err
}

// control answers under /_sandbox/, on the server's own address: it looks into the stand-in, changes its data and makes it misbehave.
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_sandbox/records/{object}", func(w http.ResponseWriter, r *http.Request) {
		rows, err := s.Records(r.Context(), r.PathValue("object"))
		if err != nil {
			say(w, http.StatusNotFound, map[string]string{"error": err.Error()})
			return
		}
		say(w, http.StatusOK, rows)
	})
	post := func(path string, do func(ctx context.Context, body []byte) error) {
		mux.HandleFunc("POST /_sandbox/"+path, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
			if err == nil {
				err = do(r.Context(), body)
			}
			if err != nil {
				say(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
	post("sql", func(ctx context.Context, b []byte) error { return s.Exec(ctx, string(b)) })
	post("faults", func(_ context.Context, b []byte) error {
		var w Weather
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&w); err != nil {
			return err
		}
		return s.turn(w)
	})
	post("clear_faults", func(context.Context, []byte) error { s.Clear(); return nil })
	return mux
}

func say(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) //nolint:errcheck // the client has gone away
}

// visitors is the listener of connections that speak HTTP.
type visitors struct {
	net.Listener
	conns chan net.Conn
	done  chan struct{}
}

func (v *visitors) Accept() (net.Conn, error) {
	select {
	case c := <-v.conns:
		return c, nil
	case <-v.done:
		return nil, net.ErrClosed
	}
}

// receive hands a connection over to who accepts.
func (v *visitors) receive(c net.Conn) {
	select {
	case v.conns <- c:
	case <-v.done:
		_ = c.Close() //nolint:errcheck // the server closes
	}
}

// greet reads a connection's first byte: a start-up message of PostgreSQL's protocol begins with its length, and so with a zero; a
// request of HTTP begins with a letter (https://www.postgresql.org/docs/current/protocol-message-formats.html).
func greet(c net.Conn) (_ net.Conn, http bool, err error) {
	p := &peeked{Conn: c, head: make([]byte, 1)}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return c, false, err
	}
	if _, err := io.ReadFull(c, p.head); err != nil {
		return c, false, err
	}
	return p, p.head[0] >= 'A', c.SetReadDeadline(time.Time{})
}

// peeked is a connection whose first byte was read.
type peeked struct {
	net.Conn
	head []byte
}

func (p *peeked) Read(b []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}
