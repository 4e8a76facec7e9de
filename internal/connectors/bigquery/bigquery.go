// Package bigquery is the source for BigQuery, and a warehouse that can hold the ledger.
//
// A query runs as a job of its own (jobs.insert with an id made here, so that it can be repeated and cancelled). BigQuery keeps its
// answer in a table: small answers are read from there by pages of JSON, large ones as Arrow through the Storage Read API, in
// parallel streams. An answer is complete when as many rows arrived as the finished job counts.
// https://docs.cloud.google.com/bigquery/docs/reference/rest, https://docs.cloud.google.com/bigquery/docs/reference/storage
package bigquery

import (
	"context"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/connectors/bigquery/bigquerytest"
)

const typeName = "bigquery"

// Ways to read an answer.
const (
	readAuto    = "auto"
	readStorage = "storage"
	readREST    = "rest"
)

// Source is BigQuery as a source.
func Source() connector.SourceConnector {
	return connector.SourceConnector{
		Spec: connector.Spec{
			Type: typeName, Title: "BigQuery", Summary: "Reads models from BigQuery, as Arrow through the Storage Read API.",
			APIVersion: "v2",
			Ledger:     true,
			Sandbox:    true,
			HTTP:       true,
			Grants: connector.Grants{
				Read: `GRANT ` + "`roles/bigquery.dataViewer`" + ` ON SCHEMA ` + "`{project}.{dataset}`" + ` TO "serviceAccount:{user}";
-- and in the project that is billed, by its administrator (there is no SQL for it):
-- gcloud projects add-iam-policy-binding {project} --member=serviceAccount:{user} --role=roles/bigquery.jobUser
-- gcloud projects add-iam-policy-binding {project} --member=serviceAccount:{user} --role=roles/bigquery.readSessionUser`,
				Ledger: `CREATE SCHEMA IF NOT EXISTS ` + "`{project}.{state_schema}`" + ` OPTIONS (location = '{location}');
GRANT ` + "`roles/bigquery.dataEditor`" + ` ON SCHEMA ` + "`{project}.{state_schema}`" + ` TO "serviceAccount:{user}";`,
			},
			Settings: settings(),
		},
		Open: func(ctx context.Context, cfg connector.Config, env connector.Env) (connector.Source, error) {
			s, err := open(ctx, cfg, env)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Sandbox: func(ctx context.Context, listen string) (connector.Sandbox, error) {
			return bigquerytest.Start(ctx, listen, bigquerytest.Options{})
		},
	}
}

func settings() []connector.Setting {
	return []connector.Setting{
		{Name: "project", Type: connector.TypeString, Required: true, Example: "acme-analytics", Doc: "Project that runs the queries and pays for them; names without a project belong to it."},
		{Name: "location", Type: connector.TypeString, Required: true, Example: "EU", Doc: "Where the data is: a region or multi-region, as the dataset's details show it."},
		{Name: "dataset", Type: connector.TypeString, Example: "analytics", Doc: "Dataset of table names that are written without one."},
		{
			Name: "credentials", Type: connector.TypeString, Secret: true, Example: "${env:BIGQUERY_KEY}",
			Doc: "Key of a service account, or another credentials file of Google Cloud, as JSON. Without it and without credentials_file the application default credentials hold.",
		},
		{Name: "credentials_file", Type: connector.TypeString, Example: "keys/upwell.json", Doc: "The same in a file, relative to the project folder."},
		{
			Name: "impersonate", Type: connector.TypeString, Example: "upwell@acme.iam.gserviceaccount.com",
			Doc: "Service account to act as; the credentials need roles/iam.serviceAccountTokenCreator on it.",
		},
		{Name: "maximum_bytes_billed", Type: connector.TypeSize, Example: "100GB", Doc: "A query that would be billed for more fails before it costs anything."},
		{Name: "labels", Type: connector.TypeMap, Example: "{team: revops}", Doc: "Labels of every job, for the bill and for INFORMATION_SCHEMA.JOBS, beside upwell: NAME OF THE SOURCE."},
		{Name: "job_timeout", Type: connector.TypeDuration, Example: "30m", Doc: "Longest a query may run; BigQuery ends it after that."},
		{
			Name: "read_api", Type: connector.TypeString, Default: readAuto, Enum: []string{readAuto, readStorage, readREST},
			Doc: "How answers are read: storage = as Arrow, which needs roles/bigquery.readSessionUser; rest = as JSON, twenty times slower; auto = small ones as JSON, large ones as Arrow, and as JSON where Arrow cannot be had.",
		},
		{Name: "endpoint", Type: connector.TypeString, Example: "https://bigquery-upwell.p.googleapis.com", Doc: "Address of the BigQuery API, for Private Service Connect."},
		{Name: "storage_endpoint", Type: connector.TypeString, Example: "https://bigquerystorage-upwell.p.googleapis.com", Doc: "Address of the Storage Read API; endpoint's where that is on this machine."},
		{Name: "iam_endpoint", Type: connector.TypeString, Example: "https://iamcredentials-upwell.p.googleapis.com", Doc: "Address of the IAM Credentials API, for impersonate."},
	}
}
