package redshifttest

import (
	"bufio"
	"context"
	"crypto/md5" //nolint:gosec // the protocol's own way to ask for a password
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/upwelldata/upwell/internal/connector/pgwire"
)

// session is one connection of a client, and the database's connection behind it.
type session struct {
	s      *Server
	client net.Conn
	back   *pgproto3.Backend
	out    *bufio.Writer
	pid    uint32
	secret uint32
	hc     *pgconn.HijackedConn
}

var errRefused = errors.New("the client was refused")

func (s *Server) serve(c net.Conn) {
	c, http, err := greet(c)
	if err != nil {
		_ = c.Close() //nolint:errcheck // nobody has spoken
		return
	}
	if http {
		s.visitors.receive(c)
		return
	}
	one := &session{s: s, client: c}
	defer one.cut()
	if s.isPaused() { // a paused cluster refuses connections
		return
	}
	if err := one.handshake(); err != nil {
		return
	}
	defer s.leave(one)
	defer func() { _ = one.hc.Conn.Close() }() //nolint:errcheck // the session is over
	done := make(chan struct{})
	go func() {
		defer close(done)
		one.answers()
		one.cut()
	}()
	one.questions()
	_ = one.hc.Conn.Close() //nolint:errcheck // wakes the goroutine that reads its answers
	<-done
}

func (one *session) cut() {
	_ = one.client.Close() //nolint:errcheck // it is cut on purpose
}

func (one *session) stop(ctx context.Context) error {
	c, err := pgconn.Construct(one.hc)
	if err != nil {
		return err
	}
	return c.CancelRequest(ctx)
}

// handshake: https://www.postgresql.org/docs/8.0/protocol.html
func (one *session) handshake() error {
	for {
		one.back = pgproto3.NewBackend(one.client, one.client)
		m, err := one.back.ReceiveStartupMessage()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.SSLRequest:
			if err := one.encrypt(); err != nil {
				return err
			}
		case *pgproto3.GSSEncRequest:
			if _, err := one.client.Write([]byte{'N'}); err != nil {
				return err
			}
		case *pgproto3.CancelRequest:
			one.s.cancel(m.ProcessID, binary.BigEndian.Uint32(m.SecretKey))
			return errRefused
		case *pgproto3.StartupMessage:
			return one.login(m.Parameters)
		default:
			return errRefused
		}
	}
}

func (one *session) encrypt() error {
	answer := byte('N')
	if one.s.o.TLS != nil {
		answer = 'S'
	}
	if _, err := one.client.Write([]byte{answer}); err != nil {
		return err
	}
	if one.s.o.TLS != nil {
		one.client = tls.Server(one.client, one.s.o.TLS)
	}
	return nil
}

func (one *session) login(params map[string]string) error {
	name := params["user"]
	u, known := one.s.user(name)
	if u.Digest { // https://github.com/aws/amazon-redshift-python-driver/blob/master/redshift_connector/core.py: message 13
		_, err := one.client.Write(append([]byte{'R', 0, 0, 0, 20, 0, 0, 0, 13}, make([]byte, 12)...))
		return errors.Join(errRefused, err)
	}
	salt := make([]byte, 4)
	if _, err := rand.Read(salt); err != nil {
		return err
	}
	one.back.Send(&pgproto3.AuthenticationMD5Password{Salt: [4]byte(salt)})
	if err := errors.Join(one.back.Flush(), one.back.SetAuthType(pgproto3.AuthTypeMD5Password)); err != nil {
		return err
	}
	m, err := one.back.Receive()
	if err != nil {
		return err
	}
	p, ok := m.(*pgproto3.PasswordMessage)
	if !ok || !known || p.Password != digestOf(u.Password, name, salt) || !u.Expires.IsZero() && time.Now().After(u.Expires) {
		return one.fatal("28000", `password authentication failed for user "`+name+`"`)
	}
	if db := params["database"]; db != "" && db != one.s.backend.Database {
		return one.fatal("3D000", `database "`+db+`" does not exist`)
	}
	return one.admit(u, params["application_name"])
}

func digestOf(password, user string, salt []byte) string {
	inner := md5.Sum([]byte(password + user))                               //nolint:gosec // see the import
	outer := md5.Sum(append([]byte(hex.EncodeToString(inner[:])), salt...)) //nolint:gosec // see the import
	return "md5" + hex.EncodeToString(outer[:])
}

func (one *session) fatal(state, words string) error {
	one.back.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: state, Message: words})
	return errors.Join(errRefused, one.back.Flush())
}

// admit opens the database's side and tells the client what Redshift tells: it calls itself PostgreSQL 8.0.2.
// https://docs.aws.amazon.com/redshift/latest/dg/r_VERSION.html
func (one *session) admit(u User, application string) error {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	config := one.s.backend.Copy()
	config.RuntimeParams["application_name"] = application
	c, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return one.fatal("08006", "the leader node cannot be reached")
	}
	if u.Role != "" {
		if err := pgwire.Run(ctx, c, "SET SESSION AUTHORIZATION "+pgwire.Ident(u.Role)); err != nil {
			return errors.Join(err, c.Close(ctx))
		}
	}
	if one.hc, err = c.Hijack(); err != nil {
		return errors.Join(err, c.Close(ctx))
	}
	secret := make([]byte, 4)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	one.secret = binary.BigEndian.Uint32(secret)
	if !one.s.enter(one) {
		return errors.Join(errRefused, one.hc.Conn.Close())
	}
	one.back.Send(&pgproto3.AuthenticationOk{})
	for _, p := range [][2]string{
		{"server_version", "8.0.2"},
		{"server_encoding", "UNICODE"},
		{"client_encoding", "UTF8"},
		{"DateStyle", "ISO, MDY"},
		{"integer_datetimes", "on"},
		{"is_superuser", "off"},
	} {
		one.back.Send(&pgproto3.ParameterStatus{Name: p[0], Value: p[1]})
	}
	one.back.Send(&pgproto3.BackendKeyData{ProcessID: one.pid, SecretKey: secret})
	one.back.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	one.out = bufio.NewWriterSize(one.client, 64<<10)
	return one.back.Flush()
}

// questions passes on what the client asks, in words the database understands.
func (one *session) questions() {
	for {
		m, err := one.back.Receive()
		if err != nil {
			return
		}
		switch q := m.(type) {
		case *pgproto3.Query:
			one.s.hear(q.String)
			m = &pgproto3.Query{String: one.s.translate(q.String, one.s.now)}
		case *pgproto3.Parse:
			one.s.hear(q.Query)
			m = &pgproto3.Parse{Name: q.Name, Query: one.s.translate(q.Query, one.s.now), ParameterOIDs: q.ParameterOIDs}
		}
		b, err := m.Encode(nil)
		if err != nil {
			return
		}
		if _, err := one.hc.Conn.Write(b); err != nil {
			return
		}
	}
}
