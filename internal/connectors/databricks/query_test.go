package databricks

import "testing"

func Test_only_queries_are_read(t *testing.T) {
	for sql, want := range map[string]bool{
		"SELECT 1":                     true,
		"-- about\n/* it */ select 1;": true,
		"(SELECT 1) UNION (SELECT 2)":  true,
		"WITH x AS (SELECT 'INSERT', `DELETE`, \"it's \\\" MERGE\") SELECT * FROM x": true,
		"SELECT update_time, inserted FROM t":                                        true,
		"VALUES (1)":                                                                 true,
		"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x":                         false,
		"WITH x AS (SELECT ')') DELETE FROM t":                                       false,
		"DROP TABLE t":                                                               false,
		"/* SELECT */ MERGE INTO t USING s ON true":                                  false,
		"FROM t INSERT INTO u SELECT *":                                              false,
		"SELECT 1; DROP TABLE t":                                                     false,
		"-- nothing":                                                                 false,
		"":                                                                           false,
	} {
		if got := reads(sql); got != want {
			t.Errorf("%q: %v", sql, got)
		}
	}
}
