-- One row per account: four parts between 0 and 1, weighed into a score between 0 and 100.
-- "Today" is a row of the table calendar, so that the same data always gives the same scores.
with calendar as (select today from warehouse_calendar),

usage as (        -- how many of the paid seats are used, and whether that grows or shrinks
  select
    account_id,
    sum(uses) filter (week > today - 28) as recent,
    sum(uses) filter (week <= today - 28 and week > today - 56) as earlier,
    max(active_users) filter (week > today - 28) as active_users
  from product_events, calendar
  group by account_id
),

support as (      -- open tickets weigh by priority
  select account_id, sum(case priority when 'urgent' then 3 when 'high' then 2 else 1 end) as burden
  from tickets
  where closed_on is null
  group by account_id
),

billing as (      -- days the oldest unpaid invoice is late
  select account_id, max(today - due_on) as days_late
  from invoices, calendar
  where paid_on is null and due_on < today
  group by account_id
),

voice as (        -- the newest answer counts
  select account_id, arg_max(score, answered_on) as nps
  from nps_answers
  group by account_id
),

parts as (
  select
    a.*,
    v.nps,
    least(1, coalesce(u.active_users, 0) / a.seats) * 0.7
      + 0.3 * least(1, coalesce(u.recent, 0) / greatest(1, coalesce(u.earlier, 0))) as usage,
    1 - least(1, coalesce(s.burden, 0) / 8)     as support,
    1 - least(1, coalesce(b.days_late, 0) / 60) as payment,
    coalesce(v.nps, 7) / 10                     as voice
  from accounts a
  left join usage u using (account_id)
  left join support s using (account_id)
  left join billing b using (account_id)
  left join voice v using (account_id)
),

scored as (
  select *, round(100 * (0.4 * usage + 0.2 * support + 0.2 * payment + 0.2 * voice))::integer as health_score
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
  case least(usage, support, payment, voice)
    when usage then 'usage' when support then 'support' when payment then 'payment' else 'voice' end as weakest
from scored
