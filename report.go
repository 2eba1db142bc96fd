package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// The commands, report.html: the lesson in pictures, a page that pretrain, finetune and demo
// write into their folder while they run and at the end, and report anew.

const reportFile = "report.html"

//go:embed report.html
var reportText string

// reportTemplate shows a reporter. It writes all text so that it stands in the page as text,
// whatever it contains.
var reportTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"numbers":     numbersOf,
	"share":       func(n int, of []int) float64 { return ratio(float64(n), max(1, slices.Max(of))) },
	"short":       short,
	"strip":       strip,
	"studyHeader": func() string { return studyHeader },
	"tenths":      func(x, y float64) float64 { return tenth(x * y) },
	"vectorNames": func() []string { return vectorNames[:] },
}).Parse(goesOn.ReplaceAllString(reportText, "$1")))

// goesOn is where a line of the template goes on with the one before.
var goesOn = regexp.MustCompile(`\n +([<{])`)

// Title is the name of the model's folder.
func (r *reporter) Title() string { return filepath.Base(r.dir) }

// refresh reads the metrics and looks at the model, all of which has to be sound.
func (r *reporter) refresh() error {
	if err := r.readMetrics(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if step, ok := r.History.reached(); ok {
		unit := r.History.unit()
		if step != 1 {
			unit += "s"
		}
		r.State = fmt.Sprintf("After %.0f %s", step, unit)
	}
	r.Now = r.lookNow()
	r.Now.When = cmp.Or(r.State, "In this model")
	r.Looks = []*look{r.Now}
	if r.Before != nil {
		r.Before.When = "Before the first step"
		r.Looks = []*look{r.Before, r.Now}
	}
	return cmp.Or(sound(r.Now), sound(r.m.encoder[len(r.m.encoder)-1].output.norm.y))
}

// readMetrics reads the history from its file.
func (r *reporter) readMetrics() error {
	f, err := openFile(r.metrics)
	if err != nil {
		return err
	}
	defer f.Close()
	r.History, err = readHistory(f)
	return wrap(r.metrics, err)
}

// step is called when a step is reported.
func (r *reporter) step(step int, last bool) {
	r.watch(step)
	r.write(last)
}

// write writes the page, but not so often that this would take a hundredth of the run's time,
// unless it is the last. A page that cannot be written is no reason for a run to fail.
func (r *reporter) write(last bool) {
	begun := time.Now()
	if !last && begun.Before(r.due) {
		return
	}
	past := func(w io.Writer) error { return json.NewEncoder(w).Encode(&r.pastRun) }
	err := writeFile(filepath.Join(r.dir, pastRunFile), past)
	if err == nil {
		err = r.writePage(filepath.Join(r.dir, reportFile))
	}
	if err != nil && !r.failed {
		r.c.warn("%s (the run goes on without its page)", readable(err))
	}
	r.failed, r.due = err != nil, time.Now().Add(150*time.Since(begun))
}

// writePage writes the page as it is now or, to a file that is called .svg, one picture of it.
func (r *reporter) writePage(name string) error {
	if err := r.refresh(); err != nil {
		return err
	}
	what := "page"
	if filepath.Ext(name) == ".svg" {
		what = "picture"
	}
	if name == "-" {
		return r.draw(r.c.stdout, what)
	}
	return writeFile(name, func(w io.Writer) error { return r.draw(w, what) })
}

// draw writes the page, or one picture, in which what XML has not, such as a control character
// in a token, becomes U+FFFD.
func (r *reporter) draw(w io.Writer, what string) error {
	var text bytes.Buffer
	err := reportTemplate.ExecuteTemplate(&text, what, r)
	if err == nil {
		_, err = w.Write(bytes.Map(func(r rune) rune {
			if r < ' ' && r != '\n' || r > '\uFFFD' && r <= '\uFFFF' {
				return '\uFFFD'
			}
			return r
		}, text.Bytes()))
	}
	return err
}

// checkPage returns an error if a flag names what no page may be written to: one replaces an older
// one, but nothing else.
func checkPage(flag, name string) error {
	ext := filepath.Ext(name)
	if name != "-" && ext != ".html" && ext != ".svg" {
		return usagef("-%s is %q, want a name that ends in .html or .svg, or - for standard output", flag, name)
	}
	if kind := kindOf(name); kind != "" && kind != aFile {
		return fmt.Errorf("%s is %s, want a file", name, kind)
	}
	return nil
}

// writeTo writes the page to where the user wants it.
func (r *reporter) writeTo(name string) error {
	err := r.writePage(name)
	if err == nil && name != "-" {
		r.c.note("wrote %s", name)
	}
	return err
}

// reportCommand writes a page for a model folder of any kind.
func reportCommand(c *call) error {
	model := c.flags.String("model", "", "model folder `DIR`")
	out := c.flags.String("out", "", "`FILE` to write (otherwise report.html in -model), or - for standard output; "+
		"of a pre-training also a .svg, with the words and how they were learnt")
	if err := c.parse(0, "model"); err != nil {
		return err
	}
	*out = cmp.Or(*out, filepath.Join(*model, reportFile))
	if err := checkPage("out", *out); err != nil {
		return err
	}
	m, t, err := c.loadModel(*model)
	if err != nil {
		return err
	}
	r := c.newReporter(*model, m, t)
	if err = r.pastRun.read(*model); err == nil {
		err = wrap(filepath.Join(*model, pastRunFile), r.check(m))
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return r.writeTo(*out)
}
