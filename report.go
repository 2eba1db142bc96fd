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
	"slices"
	"time"
)

// The commands, report.html: the lesson in pictures, a page that pretrain, finetune and demo
// write into their folder while they run and at the end, and report anew.

const reportFile = "report.html"

//go:embed report.html
var reportText string

// reportTemplate writes all text so that it stands in the page as text, whatever it contains.
var reportTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"share":  func(n int, of []int) float64 { return ratio(float64(n), max(1, slices.Max(of))) },
	"tenths": func(x, y float64) float64 { return tenth(x * y) },
}).Parse(reportText))

// A page is what the template shows; what is empty is left out.
type page struct {
	Title, State   string
	Rows           [5]string // of the input
	Inputs         []inputTable
	Tasks          []shownCase
	Learning       []*chart
	Reports        [][]string // the numbers behind the charts, under their names
	Moments        []shownGuess
	Watched        []shownToken
	Attention      *attentionView
	Maps           []wordMap
	Study          *chart
	StudyRows      []StudyRow
	Classes        *ClassScore
	Score, Command string
	Parts          []bar
	Made           [][2]string
}

// page makes the page of the model as it is.
func (r *reporter) page() (*page, error) {
	var past history
	if r.metrics != nil {
		err := r.metrics(func(in io.Reader) (err error) {
			past, err = readHistory(in)
			return err
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	now := r.lookAt(r.m)
	if err := cmp.Or(sound(now), sound(r.m.encoder[len(r.m.encoder)-1].output.norm.y)); err != nil {
		return nil, err
	}
	p := &page{Title: filepath.Base(r.dir), Rows: vectorNames, Classes: r.Classes, Score: r.Score, Command: r.Command, StudyRows: r.Study}
	when := "In this model"
	if steps := past["train"]["step"]; len(steps) > 0 {
		when = fmt.Sprintf("After %.0f %ss", steps[len(steps)-1], past.unit())
		p.State = when
	}
	if r.Before != nil && (len(past) > 0 || r.Study != nil) {
		when = cmp.Or(p.State, "Now")
		p.Inputs = []inputTable{r.inputTable("Before the first step", r.Before)}
		p.Maps = r.wordMaps("Before the first step", r.Before, nil)
	}
	p.Inputs = append(p.Inputs, r.inputTable(when, now))
	p.Attention = r.attention() // of the pair, which lookAt has left in the model
	p.Maps = append(p.Maps, r.wordMaps(when, now, wordVectors(r.m, r.Words))...)
	p.Tasks = r.tasks()
	p.Learning, p.Reports = r.learning(past)
	p.Watched, p.Moments = r.shownTokens(&r.Masked, nil), r.moments()
	p.Study = studyChart(r.Study)
	p.Parts, p.Made = r.made(past)
	return p, nil
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
	err := writeFile(filepath.Join(r.dir, pastRunFile), func(w io.Writer) error { return json.NewEncoder(w).Encode(&r.pastRun) })
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
	p, err := r.page()
	if err != nil {
		return err
	}
	return writeFile(name, func(w io.Writer) error {
		if filepath.Ext(name) != ".svg" {
			return p.write(w, "page")
		}
		p.Maps = p.Maps[max(0, len(p.Maps)-1):]
		p.Learning = slices.DeleteFunc(p.Learning, func(c *chart) bool { return c.Title != mlmRight && c.Title != nspRight })
		return p.write(w, "picture")
	})
}

// write writes a page, or one picture. What no page may have, as bytes that are not UTF-8, becomes U+FFFD.
func (p *page) write(w io.Writer, what string) error {
	var text bytes.Buffer
	err := reportTemplate.ExecuteTemplate(&text, what, p)
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

// reportCommand writes a page for a model folder of any kind.
func reportCommand(c *call) error {
	model := c.flags.String("model", "", "model folder `DIR`")
	out := c.flags.String("out", "", "`FILE` to write (otherwise report.html in -model); of a pre-training also a .svg, with the words and how they were learnt")
	if err := c.parse(0, "model"); err != nil {
		return err
	}
	m, t, err := c.loadModel(*model)
	if err == nil {
		err = m.canTakePairs(*model)
	}
	if err != nil {
		return err
	}
	r := c.newReporter(*model, m, t)
	name := filepath.Join(*model, pastRunFile)
	if err = readJSON(name, &r.pastRun); err == nil {
		err = wrap(name, r.check(m))
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err == nil {
		*out = cmp.Or(*out, filepath.Join(*model, reportFile))
		err = r.writePage(*out)
	}
	if err == nil {
		c.note("wrote %s", *out)
	}
	return err
}
