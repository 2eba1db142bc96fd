package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// The commands: how it goes, on standard error.

// progress shows how training goes: on a terminal in a line that is redrawn,
// otherwise in a line for each report.
type progress struct {
	w        io.Writer
	terminal bool
	first    int // steps that were over before
	steps    int
	begun    time.Time
	drawn    time.Time // when the line was last drawn
}

func newProgress(w io.Writer, first, steps int) *progress {
	p := &progress{w: w, first: first, steps: steps, begun: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// tick is called after each step.
func (p *progress) tick(r Metrics) {
	left := time.Duration(min(float64(time.Since(p.begun))*float64(p.steps-r.Step)/float64(max(r.Step-p.first, 1)), 1<<62))
	p.redraw("%s  %s left", p.line(r), left.Round(time.Second))
}

// lineWidth is as wide as a line may be on a terminal of 80 columns. It is overwritten as a whole,
// since not all terminals know of a way to clear it.
const lineWidth = 79

// redraw replaces the line on a terminal, but not too often.
func (p *progress) redraw(format string, args ...any) {
	if p.terminal && time.Since(p.drawn) >= 100*time.Millisecond {
		p.drawn = time.Now()
		line := []rune(fmt.Sprintf(format, args...))
		fmt.Fprintf(p.w, "\r%-*s", lineWidth, string(line[:min(len(line), lineWidth)]))
	}
}

// clear takes the line away from a terminal.
func (p *progress) clear() {
	if p.terminal {
		fmt.Fprintf(p.w, "\r%*s\r", lineWidth, "")
	}
}

// report writes a line that stays.
func (p *progress) report(r Metrics) {
	fmt.Fprintln(p.w, p.line(r))
}

func (p *progress) line(r Metrics) string {
	line := fmt.Sprintf("%*d/%d", len(fmt.Sprint(p.steps)), r.Step, p.steps)
	if r.Split == "heldout" {
		line = fmt.Sprintf("%*s", len(line), "held out")
	}
	line += fmt.Sprintf("  mlm %.3f %4.1f%%  nsp %.3f %4.1f%%", r.MLMLoss, 100*r.MLMAccuracy, r.NSPLoss, 100*r.NSPAccuracy)
	if r.TokensPerSecond != nil {
		line += fmt.Sprintf("  lr %.1e  %s tok/s", *r.LearningRate, thousands(*r.TokensPerSecond))
	}
	if r.EvalMetrics != nil {
		line += fmt.Sprintf("  (unigram %.3f %4.1f%%, nsp %.0f–%.0f%%)", r.UnigramLoss, 100*r.UnigramAccuracy, 100*r.NSPInterval[0], 100*r.NSPInterval[1])
	}
	return line
}

// thousands is a speed in two digits or more.
func thousands(x float64) string {
	switch {
	case x < 1000:
		return fmt.Sprintf("%.0f", x)
	case x < 10_000:
		return fmt.Sprintf("%.1fk", x/1000)
	}
	return fmt.Sprintf("%.0fk", x/1000)
}
