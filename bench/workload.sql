-- Workload W: a bigint key and ten columns, $ROWS rows, the same every time.
CREATE TABLE accounts (
  id bigint PRIMARY KEY, email text, name text, seats int, health_score double precision, mrr numeric(12,2),
  is_active boolean, last_seen timestamptz, plan text, country text, tickets_30d int);
INSERT INTO accounts
SELECT g,
  'user' || g || '@' || left(md5(g::text), 8) || '.example.com',
  initcap(left(md5('first ' || g), 7)) || ' ' || initcap(left(md5('last ' || g), 9)),
  1 + abs(hashint8(g)) % 500,
  round((abs(hashint8(g * 7)) % 1000000) / 10000.0, 4)::double precision,
  ((abs(hashint8(g * 13)) % 10000000) / 100.0)::numeric(12,2),
  abs(hashint8(g * 17)) % 8 <> 0,
  timestamptz '2026-01-01 00:00:00+00' + (abs(hashint8(g * 19)) % 16000000) * interval '1 second',
  (ARRAY['free','starter','team','business','enterprise'])[1 + abs(hashint8(g * 23)) % 5],
  (ARRAY['US','GB','DE','FR','ES','IN','BR','JP','AU','CA','NL','SE','PL','IT','MX','ZA'])[1 + abs(hashint8(g * 29)) % 16],
  abs(hashint8(g * 31)) % 30
FROM generate_series(1, $ROWS) g;
VACUUM ANALYZE accounts;
