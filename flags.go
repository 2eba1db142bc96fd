package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
)

// The flags of the commands: what is given means something, or is refused by name.

// misfits are the flags that would be ignored where another is given or, after a !, where
// none of some others is. A flag may have to have a value: task=answer, or one that ends so.
var misfits = []struct{ commands, flags, where, why string }{
	{"pretrain", "size layers hidden heads intermediate positions initializer-range vocab vocab-size cased", "init", "the model there has its own"},
	{"pretrain", "max-seq short-seq short-part short-seq-prob whole-words vocab-size", "examples", "they are made already"},
	{"pretrain", "vocab-size", "vocab", "the file has its own"},
	{"pretrain", "short-seq", "!short-part recipe resume", "it is for that part of the steps"},
	{"pretrain", "short-part", "!short-seq recipe resume", "that part would be like the rest"},
	{"explain", "layer head", "html", "the page has all of them"},
	{"eval", "max-seq seed", "examples", "they are made already"},
	{"pretrain explain tokenize examples", "cased", "vocab=.json", "a tokenizer.json has its own rules"},
	{"explain tokenize examples", "cased", "model", "it goes with -vocab, and a model folder has its own rules"},
	{"embed", "layer", "pool=pooled", "the pooler looks at the last"},
	{"embed", "json", "json=false", "there is no other way to write vectors"},
	{"embed", "normalize", "!pool", "it is about that one vector"},
	{"finetune", "freeze scratch out seed", "study", "it tries all ways with the seeds from 1 to -seeds, and writes no model"},
	{"finetune", "seeds", "!study", "one model has one -seed"},
	{"finetune", "study label-column text-column pair-column header", "task=answer", "it is for labels"},
	{"finetune", "pair-column header", "task=tag", "words have no pairs, and their files no names of columns"},
	{"finetune", "overlap max-answer", "!task=answer", "it is for answers"},
}

// parseFlags parses the flags of a command, which is the name of the set.
func parseFlags(flags *flag.FlagSet, args []string) error {
	flags.VisitAll(func(f *flag.Flag) {
		if value, ok := f.Value.(flag.Getter); ok {
			switch value.Get().(type) {
			case int, uint64, float64:
				f.Value = number{value}
			}
		}
	})
	err := flags.Parse(args)
	flags.VisitAll(func(f *flag.Flag) { // as the package's help wants it
		if n, ok := f.Value.(number); ok {
			f.Value = n.Getter
		}
	})
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			err = errors.New(strings.Replace(err.Error(), "parse error", "want true or false", 1))
		}
		return err
	}
	rest := flags.Args()
	for i, arg := range rest {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if at := len(args) - len(rest); i > 0 && strings.HasPrefix(arg, "-") && flags.Lookup(name) != nil && (at == 0 || args[at-1] != "--") {
			return fmt.Errorf("-%s comes after an argument, %q, want all flags before it", name, rest[0])
		}
	}
	flags.Visit(func(f *flag.Flag) {
		if err == nil {
			err = misfit(flags, f)
		}
	})
	return err
}

// misfit returns an error if a flag that is given would be ignored.
func misfit(flags *flag.FlagSet, f *flag.Flag) error {
	has := func(list, name string) bool { return strings.Contains(" "+list+" ", " "+name+" ") }
	for _, m := range misfits {
		where, without := strings.CutPrefix(m.where, "!")
		if !has(m.commands, flags.Name()) || !has(m.flags, f.Name) || without && f.Value.String() == f.DefValue {
			continue
		}
		found := false
		for _, condition := range strings.Fields(where) {
			name, want, _ := strings.Cut(condition, "=")
			other := flags.Lookup(name)
			value := other.Value.String()
			found = found || want == "" && value != other.DefValue || want != "" && (value == want || filepath.Ext(value) == want)
		}
		if found != without {
			how := map[bool]string{false: "with", true: "without"}[without]
			return fmt.Errorf("-%s means nothing %s -%s: %s", f.Name, how, strings.Replace(strings.Fields(where)[0], "=", " ", 1), m.why)
		}
	}
	return nil
}

// A number is the value of a flag that is one: in decimal digits, where the package would read
// 010 as 8, and neither NaN nor infinite.
type number struct{ flag.Getter }

func (n number) Set(text string) error {
	digits, want := strings.TrimLeft(text, "+-0"), "a number"
	if _, ok := n.Get().(float64); !ok {
		want = "a whole number"
	}
	sign := text[:len(text)-len(strings.TrimLeft(text, "+-"))]
	if strings.Trim(text, "+-.0123456789eE") != "" || text == "" || n.Getter.Set(sign+cmp.Or(digits, "0")) != nil {
		return fmt.Errorf("want %s in decimal digits", want)
	}
	return nil
}
