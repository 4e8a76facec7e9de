-- One row per account: four parts of at most 1,000 points, weighed into a score between 0 and 100.
-- The same text runs in DuckDB, Snowflake, BigQuery, Databricks and Redshift (docs/guide/demo.md tells how it was kept portable): days
-- are counted by the calendar, and what is divided are whole numbers inside floor(), so that it does not matter what `/` gives there.
with usage_counts as (  -- how many of the paid seats are used, and whether that grows or shrinks
  select
    e.account_id,
    sum(case when c.days_ago < 28 then e.uses else 0 end) as recent,
    sum(case when c.days_ago between 28 and 55 then e.uses else 0 end) as earlier,
    max(case when c.days_ago < 28 then e.active_users else 0 end) as active_users
  from product_events e
  join warehouse_calendar c on c.calendar_day = e.week
  group by e.account_id
),

open_tickets as (       -- open tickets weigh by priority
  select account_id, sum(case priority when 'urgent' then 3 when 'high' then 2 else 1 end) as burden
  from tickets
  where closed_on is null
  group by account_id
),

unpaid as (             -- days the oldest unpaid invoice is late
  select i.account_id, max(c.days_ago) as days_late
  from invoices i
  join warehouse_calendar c on c.calendar_day = i.due_on
  where i.paid_on is null and c.days_ago > 0
  group by i.account_id
),

answers as (            -- the newest answer counts
  select account_id, score, row_number() over (partition by account_id order by answered_on desc) as place
  from nps_answers
),

facts as (
  select
    a.account_id, a.name, a.industry, a.country, a.owner_email, a.plan, a.mrr, a.seats,
    v.score as nps,
    coalesce(u.active_users, 0) as active_users,
    coalesce(u.recent, 0) as recent,
    greatest(1, coalesce(u.earlier, 0)) as earlier,
    coalesce(t.burden, 0) as burden,
    coalesce(b.days_late, 0) as days_late
  from accounts a
  left join usage_counts u on u.account_id = a.account_id
  left join open_tickets t on t.account_id = a.account_id
  left join unpaid b on b.account_id = a.account_id
  left join answers v on v.account_id = a.account_id and v.place = 1
),

parts as (
  select
    account_id, name, industry, country, owner_email, plan, mrr, nps,
    floor(700 * least(active_users, seats) / seats) + floor(300 * least(recent, earlier) / earlier) as usage_part,
    1000 - 125 * least(8, burden) as support_part,
    1000 - floor(1000 * least(60, days_late) / 60) as payment_part,
    100 * coalesce(nps, 7) as voice_part
  from facts
),

scored as (
  select
    account_id, name, industry, country, owner_email, plan, mrr, nps, usage_part, support_part, payment_part, voice_part,
    cast(floor((4 * usage_part + 2 * support_part + 2 * payment_part + 2 * voice_part + 50) / 100) as integer) as health_score
  from parts
)

select
  account_id,
  name,
  industry,
  country,
  owner_email,
  plan,
  mrr,
  nps,
  health_score,
  case when health_score >= 75 then 'healthy' when health_score >= 50 then 'watch' else 'at_risk' end as health_tier,
  case least(usage_part, support_part, payment_part, voice_part)
    when usage_part then 'usage' when support_part then 'support' when payment_part then 'payment' else 'voice' end as weakest
from scored
