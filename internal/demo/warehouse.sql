-- The warehouse of a software company, made of dice that always fall the same way: a number between 0 and 1 from a hash of the
-- seed, a word and a row. Nothing depends on the clock, the machine or the order of rows.
create macro dice(word, n) as (md5_number_lower(getvariable('seed') || '|' || word || '|' || n) % 1000000) / 1000000.0;
create macro pick(words, word, n) as words[1 + floor(dice(word, n) * len(words))::integer];

-- A calendar, as warehouses have one: every day, and how many days ago it was. Today is the row with 0.
create table warehouse_calendar as
  select (date '2026-11-02' - days_ago) as calendar_day, days_ago
  from (select unnest(range(-1500, 3500))::integer as days_ago);

create macro account_row(n) as table
  select
    'ACC-' || lpad(n::varchar, 6, '0') as account_id,
    pick(['Amber', 'Birch', 'Cobalt', 'Delta', 'Ember', 'Fjord', 'Granite', 'Harbour', 'Indigo', 'Juniper', 'Keel', 'Lumen', 'Meadow',
      'North', 'Orchard', 'Pine', 'Quarry', 'River', 'Slate', 'Tidal'], 'first', n) || ' '
      || pick(['Analytics', 'Bakery', 'Clinics', 'Dental', 'Energy', 'Foods', 'Freight', 'Games', 'Hotels', 'Insurance', 'Labs', 'Logistics',
      'Media', 'Optics', 'Robotics', 'Studios', 'Systems', 'Travel'], 'second', n) || ' ' || n as name,
    pick(['Agriculture', 'Banking', 'Education', 'Technology'], 'industry', n) as industry,
    pick(['Austria', 'Brazil', 'Canada', 'Germany', 'India', 'Japan', 'Kenya', 'United States'], 'country', n) as country,
    'owner' || (1 + floor(dice('owner', n) * 12))::integer || '@example.com' as owner_email,
    pick(['starter', 'starter', 'team', 'team', 'business'], 'plan', n) as plan,
    3 + floor(dice('seats', n) * dice('seats', n) * 200)::integer as seats,
    date '2026-11-02' - (200 + floor(dice('age', n) * 1500))::integer as created_on,
    date '2026-11-02' + floor(dice('renewal', n) * 365)::integer as renews_on,
    dice('fortune', n) as fortune;   -- how well things go for the account; the model must find out by itself

create temp table company as
  select r.n as n, a.*, (seats * case plan when 'starter' then 12 when 'team' then 19 else 31 end)::decimal(12, 2) as mrr
  from range(1, getvariable('rows') + 1) r(n), lateral (from account_row(r.n)) a;

create table accounts as select * exclude (n, fortune) from company;

-- One row per account, week and feature, for twelve weeks.
create table product_events as
  select
    account_id, week, feature,
    greatest(1, round(seats * (0.25 + 0.75 * fortune) * (0.6 + 0.4 * dice('users' || w || feature, n))))::integer as active_users,
    round(seats * fortune * (3 + 9 * dice('uses' || w || feature, n)))::integer as uses
  from company,
    lateral (select unnest(range(0, 12)) as w) weeks,
    lateral (select unnest(['reports', 'dashboards', 'automations']) as feature) features,
    lateral (select date '2026-11-02' - 7 * w::integer as week) days
  where feature = 'reports' or dice('knows' || feature, n) < 0.3 + 0.6 * fortune;

create table tickets as
  select
    account_id, 'T-' || n || '-' || k as ticket_id,
    date '2026-11-02' - floor(dice('opened' || k, n) * 60)::integer as opened_on,
    pick(['low', 'normal', 'normal', 'high', 'urgent'], 'priority' || k, n) as priority,
    case when dice('closed' || k, n) < 0.5 + 0.4 * fortune then date '2026-11-02' - floor(dice('opened' || k, n) * 60 * 0.4)::integer end as closed_on
  from company, lateral (select unnest(range(1, 7)) as k) ks
  where dice('ticket' || k, n) > 0.35 + 0.6 * fortune;

create table invoices as
  select
    account_id, 'I-' || n || '-' || k as invoice_id, mrr as amount,
    date '2026-11-02' - (30 * k - 15)::integer as due_on,
    case when dice('paid' || k, n) < 0.55 + 0.2 * k + 0.4 * fortune then date '2026-11-02' - (30 * k - 15 - floor(dice('days' || k, n) * 14))::integer end as paid_on
  from company, lateral (select unnest(range(1, 4)) as k) ks;

create table nps_answers as
  select
    account_id, date '2026-11-02' - floor(dice('answered', n) * 120)::integer as answered_on,
    greatest(0, least(10, round(11 * (0.7 * fortune + 0.3 * dice('mood', n)))))::integer as score
  from company
  where dice('answers', n) < 0.6;
