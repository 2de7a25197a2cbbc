package embedded

import (
	"fmt"

	"go.temporal.io/server/common/config"
	_ "go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql" // registers the plugin
)

// postgresPlugin is the pgx flavour of Temporal's Postgres plugin.
const postgresPlugin = "postgres12_pgx"

// Postgres says where the server's data is when it is not in SQLite. Both
// databases exist and have Temporal's schema already.
type Postgres struct {
	Addr           string // host:port
	User, Password string
	Database       string // "temporal"
	Visibility     string // "temporal_visibility"
	MaxConns       int
}

func (p *Postgres) persistence(o Options) (config.Persistence, error) {
	if o.Dir != "" {
		return config.Persistence{}, fmt.Errorf("options name both a directory and Postgres")
	}
	const visibility = "visibility"
	store := func(database string) config.DataStore {
		return config.DataStore{SQL: &config.SQL{
			PluginName: postgresPlugin, ConnectAddr: p.Addr, ConnectProtocol: "tcp",
			User: p.User, Password: p.Password, DatabaseName: database,
			MaxConns: p.MaxConns, MaxIdleConns: p.MaxConns,
		}}
	}
	return config.Persistence{
		DefaultStore:     "default",
		VisibilityStore:  visibility,
		NumHistoryShards: historyShards,
		DataStores: map[string]config.DataStore{
			"default":  store(p.Database),
			visibility: store(p.Visibility),
		},
	}, nil
}
