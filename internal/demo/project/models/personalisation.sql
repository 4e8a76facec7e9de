-- What the app shows each account: a tour where the product is hardly used, the feature accounts like this one use next, a banner.
-- As portable as models/customer_health.sql.
with features as (
  select
    e.account_id,
    max(e.active_users) as active_users,
    max(case when e.feature = 'dashboards' then 1 else 0 end) as dashboards,
    max(case when e.feature = 'automations' then 1 else 0 end) as automations
  from product_events e
  join warehouse_calendar c on c.calendar_day = e.week
  where c.days_ago < 28
  group by e.account_id
)
select
  a.account_id,
  a.plan,
  h.health_tier,
  coalesce(f.active_users, 0) * 4 < a.seats as show_tour,
  case
    when coalesce(f.dashboards, 0) = 0 then 'dashboards'
    when coalesce(f.automations, 0) = 0 then 'automations'
    else 'integrations'
  end as suggested_feature,
  case
    when r.days_ago between -30 and 0 then 'renewal'
    when h.health_tier = 'healthy' and a.plan <> 'business' then 'upgrade'
    else 'none'
  end as banner
from accounts a
join health h on h.account_id = a.account_id
left join warehouse_calendar r on r.calendar_day = a.renews_on
left join features f on f.account_id = a.account_id
