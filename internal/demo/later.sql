-- A day later. Somebody cancelled and somebody signed up; of the others about one in a hundred has news. Who is decided by dice.
create temp table luck as
  select account_id, row_number() over (order by dice('luck', account_id), account_id) as place, count(*) over () as n
  from accounts
  where account_id <> getvariable('spared');

create temp table lost as select account_id from luck where place = 1;
create temp table troubled as select account_id, place from luck where place > 1 and place <= 1 + greatest(1, n // 200);
create temp table quiet as select account_id from luck where place > 1 + greatest(1, n // 200) and place <= 1 + 2 * greatest(1, n // 200);

insert into tickets
  select account_id, 'T-new-' || place || '-' || k, (select calendar_day from warehouse_calendar where days_ago = 0), 'urgent', null
  from troubled, (select unnest(range(1, 3)) as k);
update product_events set active_users = 1, uses = uses // 4
  where account_id in (from quiet) and week > (select calendar_day from warehouse_calendar where days_ago = 0) - 28;

delete from accounts where account_id in (from lost);
insert into accounts
  select * exclude (fortune), (seats * 19)::decimal(12, 2) from account_row(getvariable('rows') + 1);
