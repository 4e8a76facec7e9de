// Package all is the only list of connectors. `make connector` adds a destination's line.
package all

import (
	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/bigquery"
	"github.com/upwelldata/upwell/internal/connectors/databricks"
	"github.com/upwelldata/upwell/internal/connectors/duckdb"
	"github.com/upwelldata/upwell/internal/connectors/file"
	"github.com/upwelldata/upwell/internal/connectors/mysql"
	"github.com/upwelldata/upwell/internal/connectors/postgres"
	"github.com/upwelldata/upwell/internal/connectors/redshift"
	"github.com/upwelldata/upwell/internal/connectors/salesforce"
	"github.com/upwelldata/upwell/internal/connectors/snowflake"
	"github.com/upwelldata/upwell/internal/connectors/sqlite"
	"github.com/upwelldata/upwell/internal/connectors/webhook"
)

// Sources lists the source types.
func Sources() []connector.SourceConnector {
	return []connector.SourceConnector{
		bigquery.Source(),
		databricks.Source(),
		duckdb.Source(),
		mysql.Source(),
		postgres.Source(),
		redshift.Source(),
		snowflake.Source(),
		sqlite.Source(),
	}
}

// Destinations lists the destination types.
func Destinations() []connector.DestinationConnector {
	return []connector.DestinationConnector{
		file.Connector(),
		mysql.Destination(),
		postgres.Destination(),
		salesforce.Connector(),
		webhook.Connector(),
	}
}
