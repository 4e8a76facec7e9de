package run

import (
	"fmt"
	"strconv"

	"github.com/upwelldata/upwell/internal/connector"
	"github.com/upwelldata/upwell/internal/deliver"
	"github.com/upwelldata/upwell/internal/fault"
)

// loose warns of limits in the project that are wider than the tool's: those hold, and the setting changes nothing.
func (p *prepared) loose() (out fault.List) {
	c := p.e.Project.Destinations[p.sync.Destination]
	warn := func(key, set, holds string) {
		out = append(out, fault.New(fault.ProjectValue, "limits.%s of %s is %s, but %s: limits only tighten", key, c.Name, set, holds).
			At(c.Limits.Where).WithFix("lower limits.%s, or leave it out", key))
	}
	if most := concurrencyOf(p.dest.object); c.Limits.Concurrency > most {
		warn("concurrency", strconv.Itoa(c.Limits.Concurrency), fmt.Sprintf("%s takes no more than %d requests at once", p.sync.Object, most))
	}
	rate, share := 0.0, 0.0
	var widest connector.Window
	for _, w := range p.dest.account.Windows {
		switch {
		case w.Requests <= 0 || w.Group != "": // a limit of some requests leaves the rate of others open
		case deliver.IsQuota(w):
			if w.Share > 0 && (share == 0 || w.Share < share) {
				share = w.Share
			}
		case rate == 0 || float64(w.Requests)/w.Per.Seconds() < rate:
			rate, widest = float64(w.Requests)/w.Per.Seconds(), w
		}
	}
	if set := c.Limits.RequestsPerSecond; rate > 0 && set > rate {
		warn("requests_per_second", number(set), fmt.Sprintf("the account takes no more than %s, %d in %s", number(rate), widest.Requests, widest.Per))
	}
	if set := c.Limits.DailyShare; share > 0 && set > share {
		warn("daily_share", number(set*100)+"%", fmt.Sprintf("Upwell takes no more than %s%% of the account's quota", number(share*100)))
	}
	return out
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', 4, 64) }

// concurrencyOf is how many requests for an object may be in flight.
func concurrencyOf(o connector.Object) int {
	most := 1
	for _, op := range o.Ops {
		most = max(most, op.Concurrency)
	}
	return most
}

// messages are faults as the warnings of a plan or a run.
func messages(list fault.List) []string {
	var out []string
	for _, f := range list {
		m := f.Message
		if f.Where != nil {
			m = f.Where.String() + ": " + m
		}
		out = append(out, m)
	}
	return out
}
