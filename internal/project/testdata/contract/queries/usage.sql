select account_id, day, calls
from usage;
