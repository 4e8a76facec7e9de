-- What the app shows each account: a tour where the product is hardly used, the feature accounts like this one use next, a banner.
with calendar as (select today from warehouse_calendar),
features as (
  select account_id, list(distinct feature) as known, max(active_users) as active_users
  from product_events, calendar
  where week > today - 28
  group by account_id
)
select
  a.account_id,
  a.plan,
  h.health_tier,
  coalesce(f.active_users, 0) * 4 < a.seats as show_tour,
  case
    when not list_contains(coalesce(f.known, []), 'dashboards') then 'dashboards'
    when not list_contains(f.known, 'automations') then 'automations'
    else 'integrations'
  end as suggested_feature,
  case
    when a.renews_on - today between 0 and 30 then 'renewal'
    when h.health_tier = 'healthy' and a.plan <> 'business' then 'upgrade'
    else 'none'
  end as banner
from accounts a
cross join calendar
join health h using (account_id)
left join features f using (account_id)
