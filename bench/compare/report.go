package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

func median(ms []measure, of func(measure) float64) float64 {
	v := make([]float64, len(ms))
	for i, m := range ms {
		v[i] = of(m)
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func (b *bench) report() error {
	var s strings.Builder
	fmt.Fprintf(&s, "\n## %s: %d rows x 11 columns\n\n", time.Now().UTC().Format(time.DateOnly), b.rows)
	fmt.Fprintf(&s, "%s, %d CPUs, %s; medians of %d, both sides in turn in one run.\n", machine(), runtime.NumCPU(), runtime.Version(), b.repeat)
	if len(b.lines) > 0 {
		b.compared(&s)
	}
	if len(b.readings) > 0 {
		b.read(&s)
	}
	fmt.Print(s.String())
	if !b.write {
		return nil
	}
	f, err := os.OpenFile("bench/results.md", os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644) //nolint:gosec // a page of the repository
	if err != nil {
		return err
	}
	if _, err := f.WriteString(s.String()); err != nil {
		return err
	}
	return f.Close()
}

// compared writes the table of upwell beside bare programs.
func (b *bench) compared(s *strings.Builder) {
	s.WriteString("\n| job | bare, s | upwell, s | ratio | target | upwell peak RSS, MiB |\n|---|---|---|---|---|---|\n")
	for _, l := range b.lines {
		if l.note != "" {
			fmt.Fprintf(s, "| %s | | | | | %s |\n", l.name, l.note)
			continue
		}
		bare, ours := median(l.bare, func(m measure) float64 { return m.seconds }), median(l.ours, func(m measure) float64 { return m.seconds })
		target := fmt.Sprintf("%.2fx %s: %s", l.most, l.of, verdict(ours <= l.most*bare))
		if l.most == 0 {
			target = "none, beside " + l.of
		}
		fmt.Fprintf(s, "| %s | %.2f | %.2f | %.2f | %s | %.0f |\n", l.name, bare, ours, ours/bare, target,
			median(l.ours, func(m measure) float64 { return m.rss }))
	}
}

func machine() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOOS + "/" + runtime.GOARCH
	}
	for _, l := range strings.Split(string(b), "\n") {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return runtime.GOOS + "/" + runtime.GOARCH
}
