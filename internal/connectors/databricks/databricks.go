// Package databricks is the source for Databricks SQL warehouses. It speaks the SQL Statement Execution API
// (https://docs.databricks.com/api/workspace/statementexecution) by plain requests: submit, poll, and fetch the result's chunks as
// Arrow streams from cloud storage.
//
// The vendor's SDK is not used, docs/adr/0010-databricks.md says why.
package databricks

import (
	"context"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/databricks/databrickstest"
)

const typeName = "databricks"

// Source is the registration of the type "databricks".
func Source() connector.SourceConnector {
	return connector.SourceConnector{
		Spec: connector.Spec{
			Type: typeName, Title: "Databricks", Summary: "Reads models from a Databricks SQL warehouse.", APIVersion: "2.0",
			HTTP: true, Ledger: true, Sandbox: true,
			Grants: connector.Grants{
				// https://docs.databricks.com/aws/en/data-governance/unity-catalog/manage-privileges/privileges
				Read: `GRANT USE CATALOG ON CATALOG {catalog} TO ` + "`{client_id}`" + `;
GRANT USE SCHEMA, SELECT ON SCHEMA {catalog}.{schema} TO ` + "`{client_id}`" + `;
-- and, in the warehouse's permissions: CAN USE on SQL warehouse {warehouse_id}`,
				Ledger: `USE CATALOG {catalog};
CREATE SCHEMA IF NOT EXISTS {state_schema};
GRANT USE SCHEMA, CREATE TABLE, SELECT, MODIFY ON SCHEMA {state_schema} TO ` + "`{client_id}`" + `;`,
			},
			Settings: settings(),
		},
		Open: func(_ context.Context, cfg connector.Config, env connector.Env) (connector.Source, error) {
			return open(cfg, env)
		},
		Sandbox: func(ctx context.Context, listen string) (connector.Sandbox, error) {
			return databrickstest.Start(ctx, listen)
		},
	}
}

func settings() []connector.Setting {
	return []connector.Setting{
		{Name: "host", Type: connector.TypeString, Required: true, Doc: "The workspace's address.", Example: "dbc-a1b2345c-d6e7.cloud.databricks.com"},
		{Name: "warehouse_id", Type: connector.TypeString, Required: true, Doc: "The SQL warehouse, by its id or HTTP path.", Example: "a1b2c3d4e5f60718"},
		{Name: "client_id", Type: connector.TypeString, Doc: "Application id of the service principal that logs in by OAuth. Either this or token.", Example: "${env:DATABRICKS_CLIENT_ID}"},
		{Name: "client_secret", Type: connector.TypeString, Secret: true, Doc: "OAuth secret of the service principal.", Example: "${env:DATABRICKS_CLIENT_SECRET}"},
		{Name: "token", Type: connector.TypeString, Secret: true, Doc: "A personal access token. Either this or client_id.", Example: "${env:DATABRICKS_TOKEN}"},
		{Name: "catalog", Type: connector.TypeString, Doc: "Catalog of names that name none; without it the workspace's default.", Example: "main"},
		{Name: "schema", Type: connector.TypeString, Doc: "Schema of names that name none.", Example: "analytics"},
		{
			Name: "results", Type: connector.TypeString, Default: resultsLinks, Enum: []string{resultsLinks, resultsInline},
			Doc: "How rows come: links to Arrow files in the workspace's cloud storage, or inline where that storage is out of reach (at most 25 MiB).",
		},
		{Name: "start_timeout", Type: connector.TypeDuration, Default: "15m", Doc: "Longest a query may wait for a warehouse that is stopped or busy."},
		{Name: "statement_timeout", Type: connector.TypeDuration, Example: "30m", Doc: "Longest a query may run; it is cancelled after that. Without it the warehouse's own limit holds."},
		{Name: "downloads", Type: connector.TypeInt, Default: "4", Doc: "Parts of a result fetched at once."},
		{Name: "ca_file", Type: connector.TypeString, Example: "certs/ca.pem", Doc: "File with further certificate authorities to trust."},
	}
}
