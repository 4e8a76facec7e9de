package databricks

import "time"

// Tests wait a hundredth as long between attempts as the program does.
func init() {
	pace.look, pace.lookMost = time.Millisecond, 50*time.Millisecond
	pace.again, pace.againMost = time.Millisecond, 20*time.Millisecond
	pace.attempts = 4
}
