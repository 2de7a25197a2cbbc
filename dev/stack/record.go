package stack

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/pgdb"
	"github.com/hypervisor-control-plane/hcp/internal/store/sqlitedb"
)

// startRecord starts what needs no Temporal: the simulated hypervisor, and the
// store with its seed.
func (s *Stack) startRecord(ctx context.Context, last ports) (err error) {
	if s.simURL = s.opts.SimURL; s.simURL == "" {
		l, err := listen(ctx, last.Sim)
		if err != nil {
			return fmt.Errorf("simulated hypervisor: %w", err)
		}
		o := s.opts.Sim
		o.StateFile = s.opts.Dir.File(simFile)
		if s.sim, err = StartSim(l, o); err != nil {
			return err
		}
		s.simURL = s.sim.URL()
	}
	dialector := sqlitedb.Dialector(s.opts.Dir.File(databaseFile))
	if s.opts.Postgres != nil {
		if dialector, err = pgdb.Dialector(s.opts.Postgres.DSN); err != nil {
			return err
		}
	}
	if s.store, err = openStore(ctx, s, dialector); err != nil {
		return err
	}
	if err := s.store.Migrate(ctx); err != nil {
		return err
	}
	if s.seeded, err = seed(ctx, s.store, s.simURL); err != nil {
		return err
	}
	if s.opts.Postgres != nil {
		return nil
	}
	return moveSim(ctx, s.opts.Dir.File(databaseFile), s.simURL)
}

func openStore(ctx context.Context, s *Stack, d gorm.Dialector) (*store.Store, error) {
	return store.Open(ctx, store.Options{Dialector: d, Sealer: s.keys.sealer, Logger: s.opts.Logger})
}

// moveSim points the seeded provider at the simulated hypervisor where that
// listens elsewhere than at the last start. The store has no operation for it
// yet: in production a provider's address does not move at each restart.
func moveSim(ctx context.Context, file, simURL string) (err error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx,
		"UPDATE providers SET url = ?, generation = generation + 1 WHERE id = ? AND url <> ?", simURL, SimProvider, simURL)
	if err != nil {
		return fmt.Errorf("move the simulated hypervisor: %w", err)
	}
	return nil
}

func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Host
}

// portOfAddr is the port of "host:port", 0 where it has none.
func portOfAddr(addr string) int {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	return n
}
